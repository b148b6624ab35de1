"""The node as its wallet sees it: `interfaces.chain.Chain` over chain state and mempool.

What a stream sends is ``streams.py``'s business; this file begins and ends them, and answers questions.
"""

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from btclib.exceptions import BTClibException
from btclib.tx.tx import Tx

from bitcoind_mp.interfaces.chain import (
    BlockData,
    BlockRef,
    Chain,
    ChainStatus,
    CoinValue,
    FeeEstimate,
    FeePolicy,
    Follower,
    MempoolPackage,
)
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.ipc.proxy import hang_up, on_disconnect, set_timeout

from .backlog import Backlog
from .chain.contents import BlockContents
from .chain.header import BlockNode
from .chain.indexes import TxIndex
from .chain.state import BlockUnavailable, ChainState, CoinsUnavailable, Listener
from .mempool.entry import MempoolEntry, Removal
from .mempool.pool import Mempool
from .streams import Stream, block_ref

log = logging.getLogger("bitcoind_mp.feed")

_RECENT = 4
"""So many newest blocks are kept at hand for the followers, who all want them at once."""
_NUMBER = 53
"""Bits of a stream's number, which JSON's readers take whole: no follower is to end another's by guessing it."""
_PATIENCE = 3600.0
"""Seconds a follower has for one block: it may be writing to a slow disk, and nobody waits for it."""


class Sender(Protocol):
    """What puts a transaction into the mempool under Core's rules and errors; the commands' own."""

    async def broadcast(self, tx: Tx, max_fee_rate: int | None) -> bytes:
        """The txid. Raises RpcError with Core's reason."""

    async def test_accept(self, txs: list[Tx], max_fee_rate: int | None) -> list[dict[str, Any]]:
        """``testmempoolaccept``'s answer."""


class Feed(Chain, Listener):
    """Serves any number of followers. Lives in the loop."""

    def __init__(self, chain: ChainState, mempool: Mempool, sender: Sender, tx_index: TxIndex | None = None) -> None:
        self._chain = chain
        self._mempool = mempool
        self._sender = sender
        self._tx_index = tx_index
        self._recent: OrderedDict[bytes, BlockContents] = OrderedDict()
        self._backlog = Backlog()
        self._streams: dict[int, Stream] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._subscriptions: list[Callable[[], None]] = [
            chain.subscribe(self).close,
            mempool.subscribe(self).close,
        ]
        chain.clock.watch(self.clock_set)

    async def close(self) -> None:
        """End every stream."""
        for unsubscribe in self._subscriptions:
            unsubscribe()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def streams(self) -> int:
        """How many followers there are."""
        return len(self._streams)

    # --- what happens ---------------------------------------------------------------------------------------

    def block_connected(self, node: BlockNode, contents: BlockContents) -> None:
        if not self._streams:
            self._recent.clear()
            return
        self._recent[node.hash] = contents
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        self._wake()

    def block_disconnected(self, node: BlockNode, contents: BlockContents) -> None:
        self._wake()

    def added(self, entry: MempoolEntry) -> None:
        for stream in self._streams.values():
            stream.transaction_added(entry)

    def returned(self, entry: MempoolEntry) -> None:
        self.added(entry)

    def removed(self, entry: MempoolEntry, reason: Removal) -> None:
        for stream in self._streams.values():
            stream.transaction_removed(entry, reason)

    def clock_set(self, mock: int) -> None:
        """A test put the clock."""
        for stream in self._streams.values():
            stream.clock_set()

    def _wake(self) -> None:
        for stream in self._streams.values():
            stream.wake()

    # --- following ------------------------------------------------------------------------------------------

    async def follow(self, locator: list[str], follower: Follower, stop_height: int | None = None) -> int:
        cursor, lost = self._where([parse_name(text) for text in locator])
        number = secrets.randbits(_NUMBER)
        set_timeout(follower, _PATIENCE)
        stream = Stream(
            number,
            self._chain,
            self._mempool,
            follower,
            cursor=cursor,
            lost=lost.hex() if lost is not None else None,
            stop_height=stop_height,
            read=self._read,
            backlog=self._backlog,
            give_up=lambda: hang_up(follower),
        )
        self._streams[number] = stream
        task = asyncio.create_task(self._run(stream), name=f"stream {number}")
        self._tasks[number] = task
        forget = on_disconnect(follower, lambda: _end(task))
        task.add_done_callback(lambda _: forget())
        log.debug("Stream %d starts at height %d", number, cursor.height if cursor is not None else -1)
        return number

    async def unfollow(self, stream: int) -> None:
        task = self._tasks.get(stream)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _where(self, locator: list[bytes]) -> tuple[BlockNode | None, bytes | None]:
        """The cursor, and the follower's newest block where nobody here knows it."""
        if not locator:
            return None, None
        newest = self._chain.by_hash(locator[0])
        if newest is not None and newest.has_data:
            return newest, None
        return self._chain.fork_point(locator), locator[0]

    async def _run(self, stream: Stream) -> None:
        try:
            await stream.run()
        except (Disconnected, asyncio.CancelledError):
            log.debug("Stream %d ends with its connection", stream.number)
        except (CallTimeout, RpcError, BlockUnavailable) as error:
            log.warning("Stream %d ends: %s", stream.number, error)
        except Exception:
            log.exception("Stream %d ends for a fault", stream.number)
        finally:
            self._streams.pop(stream.number, None)
            self._tasks.pop(stream.number, None)

    async def _read(self, node: BlockNode) -> bytes:
        recent = self._recent.get(node.hash)
        return recent.raw if recent is not None else await self._chain.read_block(node)

    # --- questions about the chain --------------------------------------------------------------------------

    async def status(self) -> ChainStatus:
        return ChainStatus(
            chain=self._chain.params.name,
            tip=block_ref(self._chain.tip),
            headers=self._chain.best_header.height,
            initial_block_download=self._chain.initial_block_download,
            clock=self._chain.clock.now(),
            clock_stands=bool(self._chain.clock.mock),
        )

    async def find_block(self, hash: str) -> BlockRef | None:
        node = self._chain.by_hash(parse_name(hash))
        return block_ref(node) if node is not None and self._chain.contains(node) else None

    async def block(self, hash: str) -> BlockData | None:
        node = self._chain.by_hash(parse_name(hash))
        if node is None or not node.has_data:
            return None
        try:
            raw = await self._read(node)
        except BlockUnavailable:
            return None
        return BlockData(block_ref(node), node.previous_hash.hex(), raw.hex())

    async def block_at(self, height: int) -> BlockRef | None:
        node = self._chain.by_height(height)
        return block_ref(node) if node is not None else None

    async def find_by_time(self, time: int, min_height: int) -> BlockRef | None:
        node = self._chain.headers.earliest_at_least(time, min_height)
        return block_ref(node) if node is not None else None

    async def locator(self, hash: str) -> list[str]:
        node = self._chain.by_hash(parse_name(hash))
        if node is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block not found")
        return [name.hex() for name in self._chain.locator(node)]

    async def coins(self, outpoints: list[tuple[str, int]]) -> list[CoinValue | None]:
        return [self._coin(outpoint) for outpoint in parse_outpoints(outpoints)]

    def _coin(self, outpoint: tuple[bytes, int]) -> CoinValue | None:
        """Whether the mempool spends it doesn't matter: what replaces the spender needs it."""
        txid, n = outpoint
        waiting = self._mempool.get(txid)
        if waiting is not None:
            outputs = waiting.vout[n : n + 1]
            return CoinValue(outputs[0].value, outputs[0].script_pub_key.script.hex(), -1, False) if outputs else None
        try:
            coin = self._chain.coins.get(outpoint)
        except CoinsUnavailable as error:
            raise RpcError(RpcCode.CLIENT_IN_INITIAL_DOWNLOAD, f"{error}") from error
        if coin is None:
            return None
        return CoinValue(coin.tx_out.value, coin.tx_out.script_pub_key.script.hex(), coin.height, coin.is_coinbase)

    async def transaction(self, txid: str) -> str | None:
        name = parse_name(txid)
        entry = self._mempool.entry(name)
        if entry is not None:
            return entry.raw.hex()
        found = await self._tx_index.find(name) if self._tx_index is not None else None
        return found.raw.hex() if found is not None else None

    # --- the mempool ----------------------------------------------------------------------------------------

    async def broadcast(self, raw: str, max_fee_rate: int | None) -> str:
        return (await self._sender.broadcast(parse_transaction(raw), max_fee_rate)).hex()

    async def test_accept(self, raws: list[str]) -> list[dict[str, Any]]:
        return await self._sender.test_accept([parse_transaction(raw) for raw in raws], None)

    async def fee_policy(self) -> FeePolicy:
        policy = self._mempool.policy
        return FeePolicy(
            min_relay=policy.min_relay_fee,
            mempool_min=self._mempool.rolling_fee_rate(),
            incremental_relay=policy.incremental_relay_fee,
            dust_relay=policy.dust_relay_fee,
        )

    async def estimate_fee(self, target: int, conservative: bool) -> FeeEstimate:
        return self._mempool.estimate_fee(target, conservative=conservative)

    async def packages(self, txids: list[str]) -> list[MempoolPackage | None]:
        return [self._package(parse_name(txid)) for txid in txids]

    def _package(self, txid: bytes) -> MempoolPackage | None:
        entry = self._mempool.entry(txid)
        if entry is None:
            return None
        up = self._mempool.totals([entry, *self._mempool.ancestors(entry)])
        down = self._mempool.totals([entry, *self._mempool.descendants(entry)])
        return MempoolPackage(
            txid=txid.hex(),
            vsize=entry.vsize,
            fee=entry.fee,
            modified_fee=entry.modified_fee,
            ancestors=up.count,
            ancestor_size=up.vsize,
            ancestor_fees=up.fees,
            descendants=down.count,
            descendant_size=down.vsize,
            descendant_fees=down.fees,
            cluster=sum(len(chunk.entries) for chunk in self._mempool.cluster(entry)),
            replaceable=self._mempool.replaceable(entry),
        )

    async def bump_fees(self, outpoints: list[tuple[str, int]], rate: int) -> list[int]:
        return self._mempool.bump_fees(parse_outpoints(outpoints), rate)

    async def combined_bump_fee(self, outpoints: list[tuple[str, int]], rate: int) -> int:
        fee = self._mempool.combined_bump_fee(parse_outpoints(outpoints), rate)
        if fee is None:
            raise RpcError(
                RpcCode.MISC_ERROR,
                "Failed to calculate bump fees, because unconfirmed UTXOs depend on an "
                "enormous cluster of unconfirmed transactions.",
            )
        return fee

    async def mempool_spender(self, outpoints: list[tuple[str, int]]) -> list[str | None]:
        spenders = [self._mempool.spender(outpoint) for outpoint in parse_outpoints(outpoints)]
        return [txid.hex() if txid is not None else None for txid in spenders]


def _end(task: asyncio.Task[None]) -> None:
    task.cancel()


def parse_name(text: str) -> bytes:
    """A hash or txid, as it is printed. Raises RpcError."""
    try:
        name = bytes.fromhex(text)
    except ValueError:
        name = b""
    if len(name) != 32:
        raise RpcError(RpcCode.INVALID_PARAMETER, f"not a hash: '{text}'")
    return name


def parse_outpoints(outpoints: list[tuple[str, int]]) -> list[tuple[bytes, int]]:
    """Raises RpcError."""
    return [(parse_name(txid), index) for txid, index in outpoints]


def parse_transaction(raw: str) -> Tx:
    """Raises RpcError."""
    try:
        return Tx.parse(bytes.fromhex(raw), check_validity=False)
    except (ValueError, BTClibException) as error:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, "TX decode failed") from error
