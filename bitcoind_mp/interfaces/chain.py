"""What the wallet may ask of the node, and what the node tells its followers.

Rules (Core's ``src/interfaces/chain.h``): only values that can be serialised and subscriptions cross; no
overloads, no out-parameters, no escape hatch. Hashes and transactions cross as hexadecimal strings, hashes in
the order they are printed; amounts in satoshis; fee rates in satoshis per 1000 virtual bytes; times in seconds
since 1970 as blocks state them.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from .command import interface_method


@dataclass(frozen=True)
class BlockRef:
    """A block by name: its hash, its height, its header's time, and the median of its and its ten ancestors' times
    (``GetMedianTimePast`` of this block: what a lock time in the next one is held against)."""

    hash: str
    height: int
    time: int
    median_time: int


@dataclass(frozen=True)
class BlockData:
    """A block with its contents: ``raw`` is the serialised block with witnesses, in hex."""

    block: BlockRef
    previous: str
    raw: str


@dataclass(frozen=True)
class ChainStatus:
    """Where the node stands. ``chain`` is Core's name for the network (main, test, testnet4, signet, regtest)."""

    chain: str
    tip: BlockRef
    headers: int
    initial_block_download: bool
    clock: int
    """The node's clock: the mock time where one is set. The wallet goes by it too."""
    clock_stands: bool = False
    """Whether that is a mock time, which stands still."""


@dataclass(frozen=True)
class MempoolTransaction:
    """A transaction that entered the mempool: ``raw`` in hex with witnesses, ``fee`` in satoshis."""

    txid: str
    raw: str
    fee: int
    time: int


@dataclass(frozen=True)
class CoinValue:
    """An unspent output. ``height`` is -1 for one of a mempool transaction."""

    amount: int
    script: str
    height: int
    coinbase: bool


@dataclass(frozen=True)
class FeePolicy:
    """The node's fee rates, each in sat/kvB. ``mempool_min`` is what a full mempool asks for, 0 while it isn't full."""

    min_relay: int
    mempool_min: int
    incremental_relay: int
    dust_relay: int


@dataclass(frozen=True)
class FeeEstimate:
    """``rate`` in sat/kvB, None where there isn't enough data; ``blocks`` is the target it is for; ``reason`` is Core's
    word for how it was found (``StringForFeeReason``)."""

    rate: int | None
    blocks: int
    errors: list[str]
    reason: str = "None"


@dataclass(frozen=True)
class MempoolPackage:
    """A mempool transaction's surroundings, each count and size including itself; sizes in vB, fees in sat."""

    txid: str
    vsize: int
    fee: int
    modified_fee: int
    ancestors: int
    ancestor_size: int
    ancestor_fees: int
    descendants: int
    descendant_size: int
    descendant_fees: int
    cluster: int
    replaceable: bool


class Follower(ABC):
    """The receiving end of the block feed: the node calls these, in order, on the follower's connection.

    A call's answer is the acknowledgement: the node sends no more than a window of unanswered blocks ahead.
    ``stream`` is the number that `Chain.follow` gave, so that one connection can carry several.
    """

    @interface_method("follower.block_connected")
    @abstractmethod
    async def block_connected(self, stream: int, data: BlockData) -> None:
        """The next block on the way to the tip. Answer when its effects are committed."""

    @interface_method("follower.block_disconnected")
    @abstractmethod
    async def block_disconnected(self, stream: int, block: BlockRef, previous: BlockRef) -> None:
        """The follower's newest block left the best chain; ``previous`` is its newest now."""

    @interface_method("follower.synced")
    @abstractmethod
    async def synced(self, stream: int, tip: BlockRef) -> None:
        """The follower has been sent everything up to ``tip`` and the mempool's transactions follow."""

    @interface_method("follower.transaction_added")
    @abstractmethod
    async def transaction_added(self, stream: int, transaction: MempoolTransaction) -> None:
        """A transaction is in the mempool. After `synced` all that are there are told once, parents first."""

    @interface_method("follower.transaction_removed")
    @abstractmethod
    async def transaction_removed(self, stream: int, txid: str, reason: str) -> None:
        """A transaction left the mempool other than by confirmation: ``reason`` is Core's word
        (``expiry``, ``sizelimit``, ``reorg``, ``conflict``, ``replaced``)."""

    @interface_method("follower.mempool_told")  # noqa: B027
    async def mempool_told(self, stream: int) -> None:
        """All that were in the mempool at `synced` have been told. Most followers needn't know."""

    @interface_method("follower.clock_set")  # noqa: B027
    async def clock_set(self, stream: int, clock: int, stands: bool) -> None:
        """A test put the node's clock, as `ChainStatus` tells of it; before the blocks that come after. Most followers
        needn't know."""


class Chain(ABC):
    """The node as its wallet sees it. Each method may raise `RpcError`, `Disconnected` or `CallTimeout`."""

    @interface_method("chain.status")
    @abstractmethod
    async def status(self) -> ChainStatus:
        """Where the node stands now."""

    @interface_method("chain.find_block")
    @abstractmethod
    async def find_block(self, hash: str) -> BlockRef | None:
        """The block of that hash if it is in the best chain, else None."""

    @interface_method("chain.block")
    @abstractmethod
    async def block(self, hash: str) -> BlockData | None:
        """The block of that hash with its contents, in whichever chain it is; None where its contents aren't here."""

    @interface_method("chain.block_at")
    @abstractmethod
    async def block_at(self, height: int) -> BlockRef | None:
        """The best chain's block at that height, None above the tip."""

    @interface_method("chain.find_by_time")
    @abstractmethod
    async def find_by_time(self, time: int, min_height: int) -> BlockRef | None:
        """The first block of the best chain, from ``min_height`` on, whose time is at least ``time``
        by the chain's running maximum (``CChain::FindEarliestAtLeast``)."""

    @interface_method("chain.locator")
    @abstractmethod
    async def locator(self, hash: str) -> list[str]:
        """A block locator for that block: hashes, newest first, exponentially thinner."""

    @interface_method("chain.follow")
    @abstractmethod
    async def follow(self, locator: list[str], follower: Follower, stop_height: int | None = None) -> int:
        """Start a stream: from the fork point of ``locator`` (empty: from genesis, which is included)
        disconnects and connects up to the tip, then `Follower.synced`, then live. Returns the stream's number.
        ``locator[0]`` is the follower's newest block; where it is not in the best chain, the stream starts with
        disconnects down to the fork. With ``stop_height`` the stream ends (`synced`, then nothing) there.
        The stream ends with the connection or with `unfollow`."""

    @interface_method("chain.unfollow")
    @abstractmethod
    async def unfollow(self, stream: int) -> None:
        """End a stream. Nothing more is sent on it once this has answered."""

    @interface_method("chain.broadcast", changes=True)
    @abstractmethod
    async def broadcast(self, raw: str, max_fee_rate: int | None) -> str:
        """Put a transaction into the mempool and relay it; its txid. ``max_fee_rate`` in sat/kvB, None for no
        limit. A transaction already in the mempool is accepted again. Raises `RpcError` with Core's reason."""

    @interface_method("chain.test_accept")
    @abstractmethod
    async def test_accept(self, raws: list[str]) -> list[dict[str, Any]]:
        """`testmempoolaccept`'s answer, without a limit on the fee rate."""

    @interface_method("chain.fee_policy")
    @abstractmethod
    async def fee_policy(self) -> FeePolicy:
        """The fee rates that a transaction is held against now."""

    @interface_method("chain.estimate_fee")
    @abstractmethod
    async def estimate_fee(self, target: int, conservative: bool) -> FeeEstimate:
        """The fee rate that should confirm within ``target`` blocks (`estimatesmartfee`)."""

    @interface_method("chain.coins")
    @abstractmethod
    async def coins(self, outpoints: list[tuple[str, int]]) -> list[CoinValue | None]:
        """The outputs asked for, in order: those of the best chain that no block spends and those of the mempool; None
        for each other. One that only a mempool transaction spends is there (``findCoins``): whoever replaces that
        transaction needs it, and `mempool_spender` tells."""

    @interface_method("chain.transaction")
    @abstractmethod
    async def transaction(self, txid: str) -> str | None:
        """A transaction's hex from the mempool, or from the transaction index where there is one."""

    @interface_method("chain.packages")
    @abstractmethod
    async def packages(self, txids: list[str]) -> list[MempoolPackage | None]:
        """What surrounds each of these in the mempool, None for one that isn't there."""

    @interface_method("chain.bump_fees")
    @abstractmethod
    async def bump_fees(self, outpoints: list[tuple[str, int]], rate: int) -> list[int]:
        """For each outpoint, the satoshis that its unconfirmed ancestors lack to reach ``rate`` (sat/kvB):
        what a spender must add (``CalculateIndividualBumpFees``). 0 for a confirmed one."""

    @interface_method("chain.combined_bump_fee")
    @abstractmethod
    async def combined_bump_fee(self, outpoints: list[tuple[str, int]], rate: int) -> int:
        """The same for all of them at once, shared ancestors counted once (``CalculateCombinedBumpFee``)."""

    @interface_method("chain.mempool_spender")
    @abstractmethod
    async def mempool_spender(self, outpoints: list[tuple[str, int]]) -> list[str | None]:
        """The txid of the mempool transaction that spends each outpoint, or None."""
