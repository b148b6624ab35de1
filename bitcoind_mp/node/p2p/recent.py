"""Hashes remembered for a while."""

from collections import OrderedDict


class RecentHashes:
    """A set that forgets its oldest members past a bound."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._hashes: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, hash: bytes) -> bool:
        return hash in self._hashes

    def add(self, hash: bytes) -> None:
        self._hashes[hash] = None
        self._hashes.move_to_end(hash)
        if len(self._hashes) > self._bound:
            self._hashes.popitem(last=False)

    def clear(self) -> None:
        self._hashes.clear()
