"""The wallet's private keys: at rest in the ledger, encrypted once a passphrase is set; in memory only while unlocked.

Secrets are named by their public half: an extended private key by its extended public key, a single private key
(WIF) by its public key in hex. What doesn't belong: what is signed with them.
"""


class KeyStore:
    """The secrets of one wallet."""

    @property
    def is_encrypted(self) -> bool:
        """Whether a passphrase was set."""
        raise NotImplementedError

    @property
    def is_locked(self) -> bool:
        """Whether a passphrase is needed before a secret can be read."""
        raise NotImplementedError

    def holds(self, public: str) -> bool:
        """Whether the private half is here, locked or not."""
        raise NotImplementedError

    def secret(self, public: str) -> str:
        """The private half: an xprv or a WIF. Raises `RpcError` (-13) when locked, KeyError when not held."""
        raise NotImplementedError
