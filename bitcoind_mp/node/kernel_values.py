"""What the kernel is told, answers and tells: options, events, verdicts, errors. Nothing here needs the kernel."""

import os
from dataclasses import dataclass

from btclib.tx.coin import Coin


@dataclass(frozen=True)
class KernelOptions:
    """``threads`` checks scripts on so many threads (``-par``: 0 for as many as there are processors, fewer by that
    many if negative). ``wipe_index`` and ``wipe_coins`` have what is in ``blocks/index`` and ``chainstate`` made anew
    from the block files."""

    threads: int = 0
    wipe_index: bool = False
    wipe_coins: bool = False

    @property
    def workers(self) -> int:
        """Threads besides the one that calls."""
        processors = os.cpu_count() or 1
        threads = self.threads if self.threads > 0 else processors + self.threads
        return max(0, min(15, threads - 1))


@dataclass(frozen=True)
class Indexed:
    """Headers that are in the kernel's index: hash (display order) and 80 bytes of each, parents first."""

    headers: list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Connected:
    """The block is the new tip. ``raw`` where it is at hand, else it can be read from disk."""

    hash: bytes
    header: bytes
    tx_count: int
    raw: bytes | None


@dataclass(frozen=True)
class Disconnected:
    """The block was the tip. ``spent``: the coins it had spent, for each transaction but the coinbase; None where
    they can't be read, which is so while the kernel opens. ``invalid``: it goes for being marked as such."""

    hash: bytes
    spent: list[list[Coin]] | None
    invalid: bool = False


@dataclass(frozen=True)
class TipChanged:
    """A block or a whole reorganisation has been dealt with."""

    hash: bytes


@dataclass(frozen=True)
class Refused:
    """A block whose header is in the index broke a rule for good: not just this copy of it is bad."""

    hash: bytes
    header: bytes


@dataclass(frozen=True)
class Invalidated:
    """Somebody had the block marked as invalid: it, and all that build on it."""

    hash: bytes


@dataclass(frozen=True)
class Reconsidered:
    """Nothing is held against the block any more, nor against its ancestors and what builds on it."""

    hash: bytes


@dataclass(frozen=True)
class Warned:
    """A warning that holds from now on, or (``text`` None) no longer."""

    kind: int
    text: str | None


@dataclass(frozen=True)
class Failed:
    """The kernel can't go on (a full disk, a broken database). It must be closed and not asked again."""

    text: str


KernelEvent = Indexed | Connected | Disconnected | TipChanged | Refused | Invalidated | Reconsidered | Warned | Failed


@dataclass(frozen=True)
class Verdict:
    """The answer to a block or header. ``reason`` is Core's word, empty where nothing is wrong or nothing was said.

    ``new``: stored just now. ``indexed``: its header is in the kernel's index. ``checked``: it was judged in full.
    """

    ok: bool
    new: bool
    indexed: bool
    checked: bool
    reason: str = ""
    detail: str = ""


class KernelError(RuntimeError):
    """The kernel couldn't open or answer; the text is its own last words."""


class NotABlock(ValueError):
    """The kernel can't decode these bytes."""
