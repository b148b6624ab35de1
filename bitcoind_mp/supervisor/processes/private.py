"""The channels between workers, which no other process can reach: they have no path, and only those that are to call or
to answer are given an end (``ipc/wire/passing.py``).

The supervisor holds both ends of each, so that any process may be started again without the other's noticing more than
the end of its connection. What doesn't belong: what is said over it.
"""

import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bitcoind_mp.interfaces.channels import AT_KEEPER, AT_NODE, AT_SIGNER, TO_KEEPER, TO_NODE, TO_SIGNER

#: Each channel's two ends: the caller's, and the one of the unit that answers.
PAIRS = {"node": (TO_NODE, AT_NODE), "signer": (TO_SIGNER, AT_SIGNER), "keeper": (TO_KEEPER, AT_KEEPER)}
#: Who is handed which, of the channels that there are; ``wallet@`` is each process of one wallet. Some have both, only
#: to give them back: a supervisor that was killed leaves nobody else who does (-adopt). Not one wallet's process, which
#: could take the others' connections.
HANDED = {
    "node": (AT_NODE, TO_NODE),
    "signer": (AT_SIGNER, TO_SIGNER),
    "wallet": (TO_NODE, AT_NODE, TO_SIGNER, AT_KEEPER, TO_KEEPER),
    "wallet@": (TO_NODE, TO_SIGNER, TO_KEEPER),
}
ENDS = frozenset(end for pair in PAIRS.values() for end in pair)
_DOORS = {"node": AT_NODE, "signer": AT_SIGNER, "wallet": AT_KEEPER}


def _handed(unit: str) -> tuple[str, ...]:
    kind, at, _ = unit.partition("@")
    return HANDED.get(kind + at, ())


@dataclass(frozen=True)
class Private:
    """The descriptors of the ends that there are, by name."""

    ends: Mapping[str, int]

    def of(self, unit: str) -> tuple[tuple[str, int], ...]:
        """What that unit is handed: names and descriptors."""
        return tuple((name, self.ends[name]) for name in _handed(unit) if name in self.ends)

    def door(self, unit: str) -> int | None:
        """Where that unit takes what is passed to it."""
        return self.ends.get(_DOORS.get(unit, ""))

    def close(self) -> None:
        """Close our ends."""
        for descriptor in self.ends.values():
            os.close(descriptor)


def adoptable(
    listeners: Mapping[str, int], handed: Mapping[str, Mapping[str, int]], *, wanted: Collection[str]
) -> tuple[dict[str, int], Private]:
    """Of workers that an earlier supervisor left (``listeners``), those that can be taken over, and their channels.

    ``handed`` are the ends that each gave back. A channel is whole where one of them had both; whoever has the end of
    another, or none of one that is ``wanted``, is replaced. What a worker was never handed is none of ours: somebody
    who broke into it would have others call him."""
    given_back = handed
    handed = {unit: {end: given[end] for end in given if end in _handed(unit)} for unit, given in given_back.items()}
    ends: dict[str, int] = {}
    for name in wanted:
        whole = next((given for given in handed.values() if given.keys() >= {*PAIRS[name]}), {})
        ends |= {end: whole[end] for end in PAIRS[name] if whole}
    needed = {end for name in wanted for end in PAIRS[name]}
    kept = {
        unit: descriptor
        for unit, descriptor in listeners.items()
        if _has_all(handed.get(unit, {}), needed.intersection(_handed(unit)), ends)
    }
    for descriptor in [*listeners.values(), *(each for given in given_back.values() for each in given.values())]:
        if descriptor not in (*kept.values(), *ends.values()):
            os.close(descriptor)
    return kept, Private(ends)


def _has_all(given: Mapping[str, int], needed: Collection[str], ends: Mapping[str, int]) -> bool:
    """Whether those are its ends, no more and no fewer, and of the channels that there are."""
    return given.keys() == set(needed) and all(
        end in ends and os.path.sameopenfile(descriptor, ends[end]) for end, descriptor in given.items()
    )


def made(private: Private, *, wanted: Collection[str]) -> Private:
    """The channels that are wanted: those that there are, and new ones in place of those that there aren't."""
    ends = dict(private.ends)
    for name in wanted:
        calling, answering = PAIRS[name]
        if calling not in ends:
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
            ends[calling], ends[answering] = (each.detach() for each in pair)
    return Private(ends)
