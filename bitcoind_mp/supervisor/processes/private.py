"""The channel between wallet and signer, which no other process can reach: it has no path, and only these two are given
an end (``ipc/passing.py``).

The supervisor holds both ends, so that either process may be started again without the other's noticing more than the
end of its connection. What doesn't belong: what is said over it.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from bitcoind_mp.interfaces.signer import FROM_WALLET, TO_SIGNER

#: Which unit is given which end, under the name that it knows it by.
ENDS = {"wallet": TO_SIGNER, "signer": FROM_WALLET}


@dataclass(frozen=True)
class Private:
    """The descriptors of both ends, by unit; empty where there is no signer."""

    ends: Mapping[str, int]

    def of(self, role: str) -> tuple[tuple[str, int], ...]:
        """What units of that role are handed: names and descriptors. (Each wallet may have a process of its own.)"""
        return ((ENDS[role], self.ends[role]),) if role in self.ends else ()

    def close(self) -> None:
        """Close our ends."""
        for descriptor in self.ends.values():
            os.close(descriptor)


def adoptable(listeners: Mapping[str, int], ends: Mapping[str, int], *, wanted: bool) -> tuple[dict[str, int], Private]:
    """Of workers that an earlier supervisor left (``listeners``), those that can be taken over, and their channel.

    ``ends`` are what they handed over of it: where it isn't whole its other end is gone for good, and whoever has one
    is replaced. ``wanted``: whether there is to be one at all."""
    kept = ends.keys() == ENDS.keys() if wanted else not ends
    if kept:
        return dict(listeners), Private(dict(ends))
    going = {unit for unit in listeners if unit.partition("@")[0] in ENDS}
    for descriptor in (*ends.values(), *(listeners[unit] for unit in going)):
        os.close(descriptor)
    return {unit: descriptor for unit, descriptor in listeners.items() if unit not in going}, Private({})


def made(private: Private, *, wanted: bool) -> Private:
    """The channel that there is; a new one where one is wanted and there is none."""
    if private.ends or not wanted:
        return private
    calling, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    return Private({"wallet": calling.detach(), "signer": answering.detach()})
