"""Which caller gives way to a new one where there is no room: the one that there is least to say for, so that nobody
can shut others out by taking all places. No socket, no clock.

Core's ``src/node/eviction.cpp``: some are kept for what can't be had without effort, a low round trip, transactions and
blocks, or being there for long; of the rest, the youngest of the network with most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

#: How many are kept for each reason.
_BY_NETWORK, _BY_PING, _BY_TRANSACTIONS, _BY_BLOCKS_ALONE, _BY_BLOCKS = 4, 8, 4, 8, 4


@dataclass(frozen=True)
class Candidate:
    """A caller. Times in seconds since 1970, 0 for never; ``best_ping`` in seconds, None where none was measured.
    ``network`` is what its address has in common with its neighbours', ``secret`` that by a rule that nobody knows.
    ``discouraged``: somebody at that address misbehaved."""

    number: int
    connected: int
    best_ping: float | None
    last_block: int
    last_transaction: int
    serves_blocks: bool
    wants_transactions: bool
    network: bytes
    secret: bytes
    local: bool
    discouraged: bool


def select(callers: Sequence[Candidate]) -> int | None:
    """The number of the one that goes; None where all are worth keeping."""
    left = list(callers)
    _keep(left, _BY_NETWORK, lambda each: (each.secret, -each.connected))
    _keep(left, _BY_PING, lambda each: (-_ping(each), -each.connected))
    _keep(left, _BY_TRANSACTIONS, lambda each: (each.last_transaction, each.wants_transactions, -each.connected))
    _keep(
        left,
        _BY_BLOCKS_ALONE,
        lambda each: (not each.wants_transactions and each.serves_blocks, each.last_block, -each.connected),
        lambda each: not each.wants_transactions and each.serves_blocks,
    )
    _keep(left, _BY_BLOCKS, lambda each: (each.last_block, each.serves_blocks, -each.connected))
    _keep_oldest(left)
    if not left:
        return None
    if any(each.discouraged for each in left):
        left = [each for each in left if each.discouraged]
    return _youngest_of_the_largest(left).number


def _keep(
    left: list[Candidate],
    count: int,
    worth: Callable[[Candidate], Any],
    applies: Callable[[Candidate], bool] = lambda each: True,
) -> None:
    """Take out those of the ``count`` worth most to which it ``applies`` (``EraseLastKElements``)."""
    left.sort(key=worth)
    kept = {each.number for each in left[len(left) - min(count, len(left)) :] if applies(each)}
    left[:] = [each for each in left if each.number not in kept]


def _keep_oldest(left: list[Candidate]) -> None:
    """Half of the rest, and up to a quarter of all among them for being on this computer."""
    total = len(left) // 2
    before = len(left)
    if total // 2:
        _keep(left, total // 2, lambda each: (each.local, -each.connected), lambda each: each.local)
    _keep(left, total - (before - len(left)), lambda each: -each.connected)


def _youngest_of_the_largest(left: list[Candidate]) -> Candidate:
    networks: dict[bytes, list[Candidate]] = {}
    for each in left:
        networks.setdefault(each.network, []).append(each)
    largest = max(networks.values(), key=lambda group: (len(group), max(each.connected for each in group)))
    return max(largest, key=lambda each: each.connected)


def _ping(each: Candidate) -> float:
    return float("inf") if each.best_ping is None else each.best_ping
