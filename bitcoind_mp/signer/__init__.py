"""The signer: private keys, sealed at rest, used as the owner's policy allows, each use on record. No network."""
