"""A wallet's private keys, in its own file or with the signer."""
