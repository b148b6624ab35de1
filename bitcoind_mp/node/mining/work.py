"""When the next block may be and what work it must have (Core's ``src/pow.cpp`` by way of btclib, and
``GetMinimumTime``, ``src/node/miner.cpp``)."""

from datetime import UTC, datetime
from functools import lru_cache

from btclib.block.block_header import BlockHeader
from btclib.block.header_context import next_bits_required
from btclib.block.limits import MAX_TIMEWARP

from bitcoind_mp.node.mempool.view import ChainView


def minimum_time(chain: ChainView) -> int:
    """The earliest time of a block on the tip, seconds since 1970."""
    tip = chain.tip
    earliest = tip.median_time + 1
    if (tip.height + 1) % chain.params.consensus.difficulty_adjustment_interval == 0:
        # BIP94's rule against warping time, kept on every network
        earliest = max(earliest, tip.time - MAX_TIMEWARP)
    return earliest


def block_time(chain: ChainView) -> int:
    """The time of a block made now."""
    return max(minimum_time(chain), chain.clock.now())


def next_bits(chain: ChainView, time: int) -> int:
    """The compact target of a block on the tip with that time."""
    tip = chain.tip
    header = BlockHeader(time=datetime.fromtimestamp(time, UTC), check_validity=False)

    def parent_of(child: BlockHeader) -> BlockHeader:
        parent = chain.by_hash(child.previous_block_hash)
        if parent is None:
            raise LookupError(f"no header {child.previous_block_hash.hex()}")
        return _header(parent.header)

    bits = next_bits_required(header, _header(tip.header), tip.height, parent_of, chain.params.consensus)
    return int.from_bytes(bits, "big")


@lru_cache(maxsize=4096)
def _header(raw: bytes) -> BlockHeader:
    return BlockHeader.parse(raw, check_validity=False)
