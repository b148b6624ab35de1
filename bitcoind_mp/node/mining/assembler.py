"""Block templates (Bitcoin Core's ``src/node/miner.cpp``): which transactions, in what order, under which limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import pack

from btclib import var_int
from btclib.block.limits import MAX_BLOCK_SIGOPS_COST
from btclib.consensus import subsidy
from btclib.tx import Tx
from btclib.tx.limits import LOCKTIME_THRESHOLD

from bitcoind_mp.node.mempool.clusters import Chunk
from bitcoind_mp.node.mempool.entry import MempoolEntry
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mempool.rules import Incoming
from bitcoind_mp.node.mempool.view import ChainView

from .coinbase import coinbase, commitment_script, merkle_root
from .versionbits import block_version
from .work import block_time, minimum_time, next_bits

#: When to stop trying chunks that don't fit: so many failures in a row, this near to the limit.
_MAX_FAILURES = 1000
_FULL_ENOUGH = 4000


@dataclass(frozen=True)
class BlockLimits:
    """``max_weight`` is ``-blockmaxweight``, ``reserved_weight`` ``-blockreservedweight``, ``min_fee_rate``
    ``-blockmintxfee`` in sat/kvB. ``coinbase_sigops`` are kept free for the coinbase. ``version`` is what a test has
    instead of the usual one (``-blockversion``)."""

    max_weight: int = 4_000_000
    reserved_weight: int = 8_000
    min_fee_rate: int = 1
    coinbase_sigops: int = 400
    version: int | None = None


@dataclass(frozen=True)
class BlockTransaction:
    """A transaction of a template: its bytes with witnesses, base fee in satoshis, and the positions in the block
    (1 is the first after the coinbase) of those it spends from, one for each such input."""

    raw: bytes
    txid: bytes
    wtxid: bytes
    fee: int
    sigop_cost: int
    weight: int
    depends: tuple[int, ...] = ()


@dataclass(frozen=True)
class Template:
    """A block to be mined: everything but a nonce.

    ``transactions`` come without the coinbase. ``commitment`` is the coinbase's witness commitment output script
    (``default_witness_commitment``), None where segwit isn't active. ``weight`` is the reserved weight plus the
    transactions'. ``bits`` is the compact target, ``version`` that of the header.
    """

    previous: bytes
    height: int
    version: int
    bits: int
    time: int
    min_time: int
    coinbase: Tx
    coinbase_value: int
    commitment: bytes | None
    transactions: tuple[BlockTransaction, ...]
    fees: int
    weight: int
    sigop_cost: int

    def block(self) -> bytes:
        """The serialised block, nonce 0."""
        root = merkle_root([self.coinbase.id, *(each.txid for each in self.transactions)])
        header = pack("<i", self.version) + self.previous[::-1] + root[::-1] + pack("<III", self.time, self.bits, 0)
        parts = [self.coinbase.serialize(include_witness=True), *(each.raw for each in self.transactions)]
        return header + var_int.serialize(len(parts)) + b"".join(parts)


def template(
    chain: ChainView,
    mempool: Mempool | None,
    script: bytes = b"\x51",
    *,
    limits: BlockLimits | None = None,
    transactions: Sequence[Tx] | None = None,
) -> Template:
    """A template on the present tip paying ``script``.

    With ``transactions`` exactly those in that order, their fees not collected (``generateblock``); else the best of
    the mempool; neither gives an empty block. While a reorganisation is under way the mempool counts as empty.
    """
    limits = limits or BlockLimits()
    tip, height = chain.tip, chain.tip.height + 1
    selection = _Selection(limits, height, tip.median_time)
    if transactions is not None:
        selection.take_as_they_are(transactions, chain.clock.now())
    elif mempool is not None:
        selection.take_best(mempool.chunks())
    value = selection.fees + subsidy(height, chain.params.consensus.subsidy_halving_interval)
    segwit = height >= chain.params.consensus.segwit_height
    commitment = commitment_script([each.wtxid for each in selection.transactions]) if segwit else None
    time = block_time(chain)
    return Template(
        previous=tip.hash,
        height=height,
        version=block_version(chain) if limits.version is None else limits.version,
        bits=next_bits(chain, time),
        time=time,
        min_time=minimum_time(chain),
        coinbase=coinbase(height, value, script, commitment),
        coinbase_value=value,
        commitment=commitment,
        transactions=tuple(selection.transactions),
        fees=selection.fees,
        weight=selection.weight,
        sigop_cost=selection.sigop_cost,
    )


class _Selection:
    """The transactions taken so far and what they come to (``BlockAssembler::addChunks``)."""

    def __init__(self, limits: BlockLimits, height: int, median_time: int) -> None:
        self._limits = limits
        self._max_weight = max(limits.max_weight, limits.reserved_weight)
        self._height = height
        self._median_time = median_time
        self._places: dict[bytes, int] = {}
        self.transactions: list[BlockTransaction] = []
        self.fees = 0
        self.weight = limits.reserved_weight
        self.sigop_cost = limits.coinbase_sigops

    def take_best(self, chunks: Sequence[Chunk]) -> None:
        """Of the chunks, best first, what fits. A cluster of which a chunk doesn't fit gives no more."""
        skipped = set()
        failures = 0
        for chunk in chunks:
            if chunk.fee * 1000 < self._limits.min_fee_rate * chunk.vsize:
                return
            cluster = chunk.entries[0].cluster
            if cluster in skipped:
                continue
            if self._fits(chunk):
                failures = 0
                for entry in chunk.entries:
                    self._take(entry)
                continue
            skipped.add(cluster)
            failures += 1
            if failures > _MAX_FAILURES and self.weight + _FULL_ENOUGH > self._max_weight:
                return

    def take_as_they_are(self, transactions: Sequence[Tx], now: int) -> None:
        """These, whatever they come to."""
        for tx in transactions:
            each = Incoming.of(tx, now)
            self._add(BlockTransaction(each.raw, each.txid, each.wtxid, 0, 0, tx.weight))

    def _fits(self, chunk: Chunk) -> bool:
        sigops = sum(entry.sigop_cost for entry in chunk.entries)
        return (
            self.weight + chunk.weight < self._max_weight
            and self.sigop_cost + sigops < MAX_BLOCK_SIGOPS_COST
            and all(self._final(entry) for entry in chunk.entries)
        )

    def _final(self, entry: MempoolEntry) -> bool:
        cutoff = self._height if entry.lock_time < LOCKTIME_THRESHOLD else self._median_time
        return entry.lock_time == 0 or entry.lock_time < cutoff

    def _take(self, entry: MempoolEntry) -> None:
        depends = tuple(self._places[txid] for txid, _ in entry.spends if txid in self._places)
        self._add(
            BlockTransaction(entry.raw, entry.txid, entry.wtxid, entry.fee, entry.sigop_cost, entry.weight, depends)
        )

    def _add(self, transaction: BlockTransaction) -> None:
        self.transactions.append(transaction)
        self._places[transaction.txid] = len(self.transactions)
        self.fees += transaction.fee
        self.weight += transaction.weight
        self.sigop_cost += transaction.sigop_cost
