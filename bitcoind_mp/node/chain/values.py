"""What the chain answers and tells: outcomes, errors, and what a listener implements. Nothing here acts."""

from collections.abc import Callable
from dataclasses import dataclass

from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from .contents import BlockContents
from .header import BlockNode


@dataclass(frozen=True)
class BlockOutcome:
    """What became of a submitted block.

    ``reason`` is None where the block is valid and was connected just now; else the word that ``submitblock``
    answers (BIP22): ``duplicate``, ``inconclusive`` for a block that was stored and not connected,
    ``duplicate-invalid``, or the rule that it broke (``bad-cb-amount``, ``high-hash``, ``prev-blk-not-found``, …).
    ``accepted`` says that the kernel holds the block and knows nothing against it, ``new`` that it didn't before.
    ``detail`` is what the kernel said besides.
    """

    hash: bytes
    accepted: bool
    new: bool
    reason: str | None
    detail: str = ""


@dataclass(frozen=True)
class HeadersOutcome:
    """What became of a run of headers: ``last`` is the last one that is in the tree now (new or known before).

    ``reason`` is the rule that the first refused header broke, with ``refused`` its position; None if all went in.
    """

    last: BlockNode | None
    new: int
    reason: str | None = None
    refused: int | None = None


class Listener:
    """What a subscriber to the chain implements; override what you need. Called in the loop, in the chain's order.

    When one is called, `ChainState.tip` and the coins view have already moved: one block a call, so that during a
    reorganisation the tip is the block that is just told (after a disconnection: its parent). A listener must not
    block, await or raise.
    """

    def block_connected(self, node: BlockNode, contents: BlockContents) -> None:
        """``node`` is the new tip."""

    def block_disconnected(self, node: BlockNode, contents: BlockContents) -> None:
        """``node`` was the tip; its parent is now."""

    def tip_changed(self, node: BlockNode) -> None:
        """A step (a block, or a whole reorganisation) is finished and ``node`` is the tip."""

    def header_added(self, node: BlockNode) -> None:
        """A header is new in the tree, on whatever fork."""

    def warned(self) -> None:
        """What the kernel warns of has changed."""


class Subscription:
    """A handle whose only method ends the subscription."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel

    def close(self) -> None:
        """Nothing more is told after this. Harmless twice."""
        self._cancel()


class BlockDecodeError(ValueError):
    """Bytes that are no block."""

    def __init__(self) -> None:
        super().__init__("Block decode failed")


class BlockUnavailable(LookupError):
    """The block (or its undo data) isn't on this disk."""


class DiskFull(OSError):
    """No room for another block; nothing that was accepted is lost."""

    def __str__(self) -> str:
        return str(self.strerror)


class ChainFailed(RpcError):
    """The kernel has given up (``why``); the node stops and is started again. Callers are told as it stands."""

    def __init__(self, why: str) -> None:
        super().__init__(RpcCode.DATABASE_ERROR, f"The chain can't be written any more, and the node stops: {why}")
        self.why = why


class MarkFailed(RpcError):
    """The kernel could not change what it holds against a block."""

    def __init__(self, why: str) -> None:
        super().__init__(RpcCode.DATABASE_ERROR, why)
