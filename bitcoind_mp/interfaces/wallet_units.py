"""What passes between the process that makes and lists wallets and those that serve one each (-walletprocess=each):
the first asks the supervisor for the others, and each whether it has its wallet."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from .command import interface_method


@dataclass(frozen=True)
class WalletUnit:
    """A wallet that has a process, or is to have one. ``unit`` is the name of that, and ``loaded`` says that the wallet
    counts as loaded: its process never failed for good before it had opened it."""

    name: str
    unit: str
    loaded: bool


class WalletUnits(ABC):
    """The supervisor's units that serve one wallet each."""

    @interface_method("wallets.list")
    @abstractmethod
    async def listed(self) -> list[WalletUnit]:
        """Each, in the order they were opened."""

    @interface_method("wallets.begin", changes=True)
    @abstractmethod
    async def begin(self, names: list[str]) -> dict[str, str]:
        """Open these as the supervisor comes up; asked again later, that does nothing. Those that can't have a process,
        and why."""

    @interface_method("wallets.open", changes=True)
    @abstractmethod
    async def open(self, name: str) -> None:
        """Have a process for that wallet, and begin to start it.

        Raises:
            RpcError: -4 it can't have one; why.
        """

    @interface_method("wallets.settled")
    @abstractmethod
    async def settled(self, name: str) -> str:
        """Wait until that process serves, or is not started again for now: why not, empty where it serves."""

    @interface_method("wallets.close", changes=True)
    @abstractmethod
    async def close(self, name: str) -> None:
        """Stop that process, wait until it has ended, and forget it. One that isn't there is no failure."""


class Carries(ABC):
    """Who carries the backups of wallets that have a process each, which reaches no other place."""

    @interface_method("wallets.carry", changes=True)
    @abstractmethod
    async def carry(self, name: str, destination: str) -> None:
        """Bring the copy that lies beside that wallet's file to an absolute path, whole or not at all. Raises
        `RpcError` (-4)."""


class OpenWallet(ABC):
    """A process that serves one wallet."""

    @interface_method("wallet.opened")
    @abstractmethod
    async def opened(self, patience: float) -> None:
        """Wait until the wallet is loaded, and then up to ``patience`` seconds for it to catch up with the node."""

    @interface_method("wallet.is_idle")
    @abstractmethod
    async def is_idle(self) -> None:
        """Nothing, where the process may be stopped. Raises `RpcError` (-4) while its wallet is scanned."""
