"""What a wallet needs of its private keys, wherever they are: in its own file, or in another process."""

from abc import ABC, abstractmethod

from bitcoind_mp.signing.sealing import Cost


class Keys(ABC):
    """The secrets of one wallet, each named by its public half."""

    cost: Cost
    elsewhere = False
    """Whether they are in another process, which signs: then no secret can be had here."""

    @abstractmethod
    def reload(self) -> None:
        """Read what the ledger holds."""

    @property
    @abstractmethod
    def is_encrypted(self) -> bool:
        """Whether a passphrase was set."""

    @property
    @abstractmethod
    def is_locked(self) -> bool:
        """Whether a passphrase is needed before a secret can be used."""

    @property
    @abstractmethod
    def publics(self) -> list[str]:
        """What the secrets are named by."""

    @abstractmethod
    def holds(self, public: str) -> bool:
        """Whether the private half is there, locked or not."""

    @abstractmethod
    def secret(self, public: str) -> str:
        """The private half: an xprv or a WIF. Raises `RpcError` (-13) when locked, (-4) where it can't be had; KeyError
        when not held."""

    @abstractmethod
    def add(self, public: str, secret: str) -> None:
        """Keep one. Inside a ledger transaction. Raises `RpcError` (-13) when locked, (-4) where none is taken."""

    @abstractmethod
    def encrypt(self, sealed_master: bytes, master: bytearray) -> None:
        """Seal every secret; unlocked afterwards. In a ledger transaction; follow with `Ledger.rewrite` where secrets
        lay open in the file."""

    @abstractmethod
    async def unlock(self, passphrase: str, seconds: int = 0) -> bool:
        """Make secrets usable; False for a wrong passphrase. ``seconds``: for how long the caller means to, for keys
        that look after that themselves."""

    @abstractmethod
    async def change_passphrase(self, old: str, new: str) -> bool:
        """Another passphrase; False for a wrong old one. Leaves it locked or not, as it was."""

    @abstractmethod
    def lock(self) -> None:
        """Forget what opens the secrets."""
