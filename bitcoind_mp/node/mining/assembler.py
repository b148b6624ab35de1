"""Block templates (Bitcoin Core's ``src/node/miner.cpp``)."""

from dataclasses import dataclass

from btclib.tx import Tx

from bitcoind_mp.node.mempool.entry import MempoolEntry
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mempool.view import ChainView


@dataclass(frozen=True)
class BlockLimits:
    """``max_weight`` is ``-blockmaxweight``, ``reserved_weight`` ``-blockreservedweight``, ``min_fee_rate``
    ``-blockmintxfee`` in sat/kvB."""

    max_weight: int = 4_000_000
    reserved_weight: int = 8_000
    min_fee_rate: int = 1
    coinbase_sigops: int = 400


@dataclass(frozen=True)
class Template:
    """A block to be mined: everything but a nonce.

    ``transactions`` come without the coinbase. ``commitment`` is the coinbase's witness commitment output script
    (``default_witness_commitment``). ``weight`` is the reserved weight plus the transactions'. ``bits`` is a number.
    """

    previous: bytes
    height: int
    version: int
    bits: int
    time: int
    min_time: int
    coinbase: Tx
    coinbase_value: int
    commitment: bytes
    transactions: tuple[MempoolEntry, ...]
    fees: int
    weight: int
    sigop_cost: int

    def block(self, time: int | None = None) -> bytes:
        """The serialised block, nonce 0."""
        raise NotImplementedError


def template(
    chain: ChainView,
    mempool: Mempool | None,
    script: bytes = b"\x51",
    *,
    limits: BlockLimits | None = None,
    transactions: list[Tx] | None = None,
) -> Template:
    """A template on the present tip paying ``script``.

    With ``transactions`` exactly those in that order (``generateblock``), else the mempool's best; neither gives an
    empty block.
    """
    raise NotImplementedError
