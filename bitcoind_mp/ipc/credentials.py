"""Who is at the other end of a Unix socket, and who may be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Credentials:
    """The peer as SO_PEERCRED and SO_PEERGROUPS told at connect time (unix(7))."""

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class AccessRule:
    """The uid that may connect (besides root), and the gid of a group that the owner named (None: no group)."""

    uid: int
    gid: int | None = None

    def admits(self, peer: Credentials) -> bool:
        raise NotImplementedError


def own_user(group: str = "") -> AccessRule:
    """This process's user, and the members of ``group`` where one is named. Raises FatalError for an unknown group."""
    raise NotImplementedError
