"""The chain as the rest of the node sees it: what is known at once, in the loop, and what takes the kernel's thread.

`ChainState` is the one object that mempool, peers, RPC, the block feed and the indexes share. Everything that
isn't ``async`` answers at once from memory and belongs to the loop's thread. Block hashes and txids are ``bytes``
in display order throughout.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .clock import Clock
from .coins import CoinsView
from .contents import BlockContents, Coin
from .header import BlockNode
from .headers import HeaderTree
from .params import ChainParams


@dataclass(frozen=True)
class BlockOutcome:
    """What became of a submitted block.

    ``reason`` is None where the block is valid and was connected (or was already: then ``new`` is False and
    ``reason`` is ``duplicate``); else the word that ``submitblock`` answers (BIP22): ``inconclusive`` for a block
    that was stored and not connected, ``duplicate-invalid``, or the rule that it broke (``bad-cb-amount``,
    ``high-hash``, ``prev-blk-not-found``, …). ``accepted`` says that the kernel holds the block and knows nothing
    against it.
    ``detail`` is what the kernel's log said besides, for a log of ours.
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


class Subscription:
    """A handle whose only method ends the subscription."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel

    def close(self) -> None:
        """Nothing more is told after this. Harmless twice."""
        self._cancel()


class ChainState:
    """The block chain of one data directory."""

    params: ChainParams
    clock: Clock
    headers: HeaderTree
    coins: CoinsView

    # --- at once --------------------------------------------------------------------------------------------

    @property
    def tip(self) -> BlockNode:
        """The best valid block."""
        raise NotImplementedError

    @property
    def height(self) -> int:
        """The tip's height."""
        raise NotImplementedError

    @property
    def best_header(self) -> BlockNode:
        """The header with the most work, its block here or not."""
        raise NotImplementedError

    @property
    def genesis(self) -> BlockNode:
        raise NotImplementedError

    def by_hash(self, hash: bytes) -> BlockNode | None:
        """Any known header's node, on any fork."""
        raise NotImplementedError

    def by_height(self, height: int) -> BlockNode | None:
        """The best chain's block at that height."""
        raise NotImplementedError

    def contains(self, node: BlockNode) -> bool:
        """Whether the node is in the best chain."""
        raise NotImplementedError

    def next(self, node: BlockNode) -> BlockNode | None:
        """The successor in the best chain; None for the tip and for what isn't in it."""
        raise NotImplementedError

    def ancestor(self, node: BlockNode, height: int) -> BlockNode | None:
        """The node's ancestor on its own branch."""
        raise NotImplementedError

    def fork_point(self, locator: list[bytes]) -> BlockNode:
        """The newest block of the best chain that the locator's owner has; genesis if none."""
        raise NotImplementedError

    def locator(self, node: BlockNode | None = None) -> list[bytes]:
        """A locator for the node, by default the tip."""
        raise NotImplementedError

    def tips(self) -> list[tuple[BlockNode, int, str]]:
        """(end of branch, its length, Core's word for its state), highest first: see `HeaderTree.tips`."""
        raise NotImplementedError

    @property
    def initial_block_download(self) -> bool:
        """Whether the tip is too old or has too little work; once False it stays so (``IsInitialBlockDownload``)."""
        raise NotImplementedError

    @property
    def verification_progress(self) -> float:
        """An estimate, 0 to 1, of how much of all transactions the chain holds (``GuessVerificationProgress``)."""
        raise NotImplementedError

    @property
    def size_on_disk(self) -> int:
        """Bytes in the block and undo files."""
        raise NotImplementedError

    @property
    def warnings(self) -> list[str]:
        """What the kernel warns of (``getblockchaininfo``'s and ``getnetworkinfo``'s ``warnings``)."""
        raise NotImplementedError

    @property
    def problems(self) -> list[str]:
        """Sentences for the health check: a kernel thread that doesn't come back, a full disk, a fatal error."""
        raise NotImplementedError

    def subscribe(self, listener: Listener) -> Subscription:
        """Tell ``listener`` of every change from here on, until the handle is closed."""
        raise NotImplementedError

    # --- on the kernel's thread -----------------------------------------------------------------------------

    async def submit_block(self, raw: bytes, *, durable: bool = True) -> BlockOutcome:
        """Give the kernel a block and wait for its verdict. All listeners have been told when this returns.

        ``durable``: the block is on disk for good (fsync) before this returns; without it it survives a kill of
        the process but maybe not a power cut. Bulk loads and peers' old blocks go without.

        Raises:
            BlockDecodeError: not a block.
            DiskFull: there is no room; nothing changed.
        """
        raise NotImplementedError

    async def submit_headers(self, headers: list[bytes]) -> HeadersOutcome:
        """Give the kernel headers of 80 bytes each, parents first."""
        raise NotImplementedError

    async def read_block(self, node: BlockNode) -> bytes:
        """The raw block with witnesses.

        Raises:
            BlockUnavailable: the block itself isn't here.
        """
        raise NotImplementedError

    async def read_undo(self, node: BlockNode) -> list[list[Coin]]:
        """The coins that the block's transactions spent, one list for each but the coinbase, in input order.

        Raises:
            BlockUnavailable: the block was never connected here.
        """
        raise NotImplementedError


class BlockDecodeError(ValueError):
    """Bytes that are no block."""


class BlockUnavailable(LookupError):
    """The block (or its undo data) isn't on this disk."""


class DiskFull(OSError):
    """No room for another block; nothing that was accepted is lost."""
