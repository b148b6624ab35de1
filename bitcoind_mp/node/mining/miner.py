"""Finding a nonce: regtest's proof of work, off the loop."""

import asyncio
import hashlib

from btclib.block.proof_of_work import target_from_bits

#: Nonces tried at once in the loop (a millisecond; regtest needs two), and then at each step on a thread.
_AT_ONCE = 500
_STEP = 100_000
_NONCES = 1 << 32


async def mine(block: bytes, tries: int = 1_000_000) -> tuple[bytes | None, int]:
    """The block with a nonce that meets its ``bits``, and how many others were tried first; None where ``tries`` nonces
    from 0 on (or all there are) don't do.

    Cancelling the task stops the search within a fifth of a second.
    """
    header, target = block[:76], target_from_bits(block[72:76][::-1])
    end = min(tries, _NONCES)
    found = _search(header, target, 0, min(_AT_ONCE, end))
    start = _AT_ONCE
    while found is None and start < end:
        found = await asyncio.to_thread(_search, header, target, start, min(start + _STEP, end))
        start += _STEP
    if found is None:
        return None, end
    return header + found.to_bytes(4, "little") + block[80:], found


def _search(header: bytes, target: bytes, start: int, end: int) -> int | None:
    """The first nonce in the range whose hash is at most ``target`` (32 bytes, most significant first)."""
    # the header's first 64 bytes are one block of SHA-256: hashed once, copied for each nonce
    front = hashlib.sha256(header[:64])
    rest = header[64:]
    for nonce in range(start, end):
        digest = front.copy()
        digest.update(rest + nonce.to_bytes(4, "little"))
        if hashlib.sha256(digest.digest()).digest()[::-1] <= target:
            return nonce
    return None
