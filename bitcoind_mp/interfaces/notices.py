"""What an operator is told, each thing once and in order: units, blocks, wallet transactions, alerts.

Unlike the topics of ``events.py``, of which the newest state is enough, none of these is left out without a word. Three
ends: a worker tells the supervisor (`NodeWatch`, `WalletWatch`), and the supervisor whoever follows (`Notices`).

A notice is a JSON object: ``kind``, ``time`` (seconds since 1970), and by kind

- ``unit``: ``unit``, ``state``, ``before``, ``pid``, ``restarts``, ``cause`` (`interfaces.failures`), ``reason``
- ``tip``: ``hash``, ``height``, ``block_time``
- ``transaction``: ``wallet``, ``txid``, ``block`` (None: not in a block), ``height`` (-1), ``number``
- ``alert``: ``source`` (a unit, or ``supervisor``), ``text``, ``raised`` (False: it is over)
- ``dropped``: ``count``, of how many that follower was not told because it didn't read them in time
- ``missed``: ``source``, ``count``: blocks of the best chain that came while nobody could be told of each

Promises. A wallet's transaction is told at least once after each change: it is on disk as untold until the supervisor
has acknowledged it, through a SIGKILL of either. What changed again before that is told once, as it is then. A block
of the best chain is told at least once while the supervisor runs, through a SIGKILL of the node, but for the initial
download. The others are the supervisor's own, and told once.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from .chain import BlockRef
from .command import interface_method

UNIT, TIP, TRANSACTION, ALERT = "unit", "tip", "transaction", "alert"
#: What may be followed.
KINDS = (UNIT, TIP, TRANSACTION, ALERT)
#: What a follower is told besides.
DROPPED, MISSED = "dropped", "missed"


class NoticeSink(ABC):
    """The receiving end of a follower; sent as JSON-RPC notifications on its connection."""

    @interface_method("event", notification=True)
    @abstractmethod
    async def event(self, notice: dict[str, Any]) -> None:
        """The next notice."""


class Notices(ABC):
    """The supervisor, as its followers see it."""

    @interface_method("notices.follow")
    @abstractmethod
    async def follow(self, kinds: list[str], sink: NoticeSink) -> list[str]:
        """Tell ``sink`` notices of these kinds (empty: of all) from now on, until the connection ends. Returns the
        kinds. Raises `RpcError` for one that there isn't."""


class NodeWatcher(ABC):
    """The receiving end at the supervisor. Each answer is an acknowledgement: the next call comes after it."""

    @interface_method("watcher.tips")
    @abstractmethod
    async def tips(self, blocks: list[BlockRef], missed: int) -> None:
        """The best chain's next tips, oldest first. ``missed``: how many before these aren't told one by one."""

    @interface_method("watcher.warnings")
    @abstractmethod
    async def warnings(self, texts: list[str]) -> None:
        """All that the kernel warns of now."""


class NodeWatch(ABC):
    """What the supervisor may be told by the node."""

    @interface_method("node.watch")
    @abstractmethod
    async def watch(self, after: str, watcher: NodeWatcher) -> str:
        """Tell ``watcher`` of each new tip (Core's ``blockTip``: once a block, or a reorganisation), not in the initial
        download, and of the kernel's warnings, until the connection ends. ``after`` is the last one told, empty for
        none: blocks of the best chain from there on are told first. Returns the tip now, empty in the initial
        download: what is told comes after that."""


@dataclass(frozen=True)
class TransactionChange:
    """A wallet transaction as it is now: ``block`` is the hash of the one it is in, empty for none, and ``height`` then
    -1. ``number`` grows with each change in that wallet."""

    number: int
    txid: str
    block: str
    height: int


class WalletWatcher(ABC):
    """The receiving end at the supervisor."""

    @interface_method("watcher.transactions")
    @abstractmethod
    async def transactions(self, wallet: str, changes: list[TransactionChange]) -> None:
        """Transactions that came or changed, in the order of their numbers. The answer acknowledges them: they aren't
        told again."""


class WalletWatch(ABC):
    """What the supervisor may be told by a wallet process."""

    @interface_method("wallets.watch")
    @abstractmethod
    async def watch(self, fresh: bool, watcher: WalletWatcher) -> None:
        """Tell ``watcher`` of each change that it hasn't acknowledged, and of those to come, in all loaded wallets,
        until the connection ends. ``fresh``: of those to come alone."""
