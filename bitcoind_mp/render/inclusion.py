"""Proofs that a transaction is in a block, as `gettxoutproof` writes them (``CMerkleBlock``). Pure.

What doesn't belong: whether the block is in the best chain.
"""

from dataclasses import dataclass

from btclib.block.partial_merkle_tree import PartialMerkleTree
from btclib.exceptions import BTClibValueError
from btclib.hashes import hash256

from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from .stream import IOSTREAM, Stream, StreamFault

_HEADER_SIZE, _HASH_SIZE = 80, 32
_ROOT = slice(36, 68)


@dataclass(frozen=True)
class Inclusion:
    """What a proof says: the block's hash (in the order it is printed), how many transactions it is said to have, and
    the txid of each that is proved with its place in the block. ``matches`` is None where the tree isn't the block's.
    """

    block: bytes
    tx_count: int
    matches: dict[bytes, int] | None


def read_inclusion(raw: bytes) -> Inclusion:
    """Read a proof. Raises `RpcError` (-1) for what is cut short."""
    stream = Stream(raw)
    try:
        header = stream.read(_HEADER_SIZE)
        count = int.from_bytes(stream.read(4), "little")
        hashes = [stream.read(_HASH_SIZE)[::-1] for _ in range(stream.compact_size())]
        flags = stream.vector()
    except StreamFault as fault:
        raise RpcError(RpcCode.MISC_ERROR, f"{fault}{IOSTREAM}") from fault
    matches = None
    try:
        tree = PartialMerkleTree(count, hashes, flags)
        if tree.merkle_root == header[_ROOT][::-1]:
            matches = {txid: position for position, txid in tree.matches}
    except BTClibValueError:  # no tree at all
        matches = None
    return Inclusion(hash256(header)[::-1], count, matches)
