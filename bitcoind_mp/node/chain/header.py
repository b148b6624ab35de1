"""One block in the header tree: its 80 bytes, its place, and how far it has been validated.

What the tree of them knows (the best chain, forks, locators) is in ``headers.py``.
"""

from enum import IntEnum
from functools import lru_cache
from struct import unpack_from

from btclib.block.proof_of_work import block_work, target_from_bits
from btclib.hashes import hash256

_MEDIAN_TIME_SPAN = 11


class Validity(IntEnum):
    """How far a block has been checked (``BlockStatus``, Core's ``src/chain.h``); each level implies those below."""

    TREE = 2
    TRANSACTIONS = 3
    CHAIN = 4
    SCRIPTS = 5


class BlockNode:
    """A block (or only its header) at its place in the tree. One object for each hash: compare with ``is``.

    ``hash`` is in display order, ``header`` the 80 bytes of the wire. ``chain_work`` is the work up to and
    including this block, ``time_max`` the latest time up to it. ``tx_count`` is 0 while the block itself hasn't
    arrived, ``chain_tx_count`` 0 while it or an ancestor hasn't.
    """

    __slots__ = (
        "chain_tx_count",
        "chain_work",
        "failed",
        "has_data",
        "has_undo",
        "hash",
        "header",
        "height",
        "position",
        "previous",
        "time",
        "time_max",
        "tx_count",
        "validity",
    )

    def __init__(self, header: bytes, previous: "BlockNode | None", hash: bytes = b"") -> None:
        self.header = header
        self.hash = hash or hash256(header)[::-1]
        self.previous = previous
        self.time: int = unpack_from("<I", header, 68)[0]
        if previous is None:
            self.height = 0
            self.chain_work = work_of(self.bits)
            self.time_max = self.time
        else:
            self.height = previous.height + 1
            self.chain_work = previous.chain_work + work_of(self.bits)
            self.time_max = max(previous.time_max, self.time)
        self.tx_count = 0
        self.chain_tx_count = 0
        self.validity = Validity.TREE
        self.failed = False
        self.has_data = False
        self.has_undo = False
        self.position: tuple[int, int] | None = None
        """Where the raw block is: the number of the ``blk`` file and its offset there; None if not known (yet)."""

    @property
    def version(self) -> int:
        """Signed, as the header holds it."""
        return int(unpack_from("<i", self.header, 0)[0])

    @property
    def previous_hash(self) -> bytes:
        """In display order; 32 zeros for genesis."""
        return self.header[35:3:-1]

    @property
    def merkle_root(self) -> bytes:
        """In display order."""
        return self.header[67:35:-1]

    @property
    def bits(self) -> int:
        """The compact target (``nBits``)."""
        return int(unpack_from("<I", self.header, 72)[0])

    @property
    def nonce(self) -> int:
        return int(unpack_from("<I", self.header, 76)[0])

    @property
    def target(self) -> int:
        """What the hash may at most be."""
        return target_of(self.bits)

    @property
    def difficulty(self) -> float:
        """The difficulty as a multiple of the minimum (``GetDifficulty``, Core's ``src/rpc/blockchain.cpp``)."""
        return difficulty_of(self.bits)

    @property
    def median_time(self) -> int:
        """The median time past of this block: of it and its ten ancestors (``GetMedianTimePast``)."""
        times: list[int] = []
        node: BlockNode | None = self
        while node is not None and len(times) < _MEDIAN_TIME_SPAN:
            times.append(node.time)
            node = node.previous
        return sorted(times)[len(times) // 2]

    def __repr__(self) -> str:
        return f"<block {self.height} {self.hash.hex()}>"


@lru_cache(maxsize=1024)
def work_of(bits: int) -> int:
    """The expected number of hashes to find a block of that compact target."""
    return block_work(bits.to_bytes(4, "big"))


@lru_cache(maxsize=1024)
def target_of(bits: int) -> int:
    """The target that the compact form stands for."""
    return int.from_bytes(target_from_bits(bits.to_bytes(4, "big")), "big")


def difficulty_of(bits: int) -> float:
    """``GetDifficulty``: computed as Core does, in the same order of floating-point operations."""
    shift = (bits >> 24) & 0xFF
    difficulty = 0x0000FFFF / (bits & 0x00FFFFFF)
    while shift < 29:
        difficulty *= 256.0
        shift += 1
    while shift > 29:
        difficulty /= 256.0
        shift -= 1
    return difficulty
