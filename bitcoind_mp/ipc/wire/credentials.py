"""Who is at the other end of a Unix socket, and who may be (unix(7): SO_PEERCRED; SO_PEERGROUPS since Linux 4.13,
SO_PEERPIDFD since 6.5)."""

import errno
import grp
import os
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError

_SO_PEERGROUPS = 59
_SO_PEERPIDFD = 77
_MOST_GROUPS = 65536


@dataclass(frozen=True)
class Credentials:
    """The peer as it was when it connected. On a socket handed down, a *server's* pid is its binder's."""

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


#: how the server learns of a peer's credentials
CredentialReader = Callable[[socket.socket], Credentials]


def peer_credentials(connected: socket.socket) -> Credentials:
    """The kernel's word on the peer. Raises OSError for a socket that isn't connected."""
    pid, uid, gid = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Credentials(pid, uid, gid, _groups(connected))


def living_peer(connected: socket.socket) -> int:
    """The pid of the process that connected, for as long as it lives: once it has ended the number may be another's,
    and what it sent is nobody's any more. 0: it is of another pid namespace.

    Raises:
        ProcessLookupError: it has ended.
        OSError: the socket isn't connected.
    """
    pid = peer_credentials(connected).pid
    if pid > 0:
        pidfd = _pidfd_of(connected, pid)
        try:
            ended = select.poll()
            ended.register(pidfd, select.POLLIN)
            if ended.poll(0):
                raise ProcessLookupError(errno.ESRCH, f"The process {pid} that connected has ended")
        finally:
            os.close(pidfd)
    return pid


def _pidfd_of(connected: socket.socket, pid: int) -> int:
    try:
        return int(struct.unpack("i", connected.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, 4))[0])
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:  # an older kernel: whoever has that number now
            return os.pidfd_open(pid)
        if error.errno in (errno.EINVAL, errno.ENODATA, errno.ESRCH):  # how several kernels say that it was waited for
            raise ProcessLookupError(errno.ESRCH, f"The process {pid} that connected has ended") from error
        raise


def _groups(connected: socket.socket) -> tuple[int, ...]:
    try:
        packed = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * 256)
    except OSError:
        try:
            packed = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
        except OSError:
            return ()
    return struct.unpack(f"{len(packed) // 4}I", packed)


@dataclass(frozen=True)
class AccessRule:
    """The uid that may connect (besides root), and the gid of a group that the owner named (None: no group)."""

    uid: int
    gid: int | None = None

    def admits(self, peer: Credentials) -> bool:
        """Whether the peer may call."""
        if peer.uid in (self.uid, 0):
            return True
        return self.gid is not None and (peer.gid == self.gid or self.gid in peer.groups)


def own_user(group: str = "") -> AccessRule:
    """This process's user, and the members of ``group`` where one is named. Raises FatalError for an unknown group."""
    if not group:
        return AccessRule(os.geteuid())
    try:
        gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        message = f"There is no group named {group}."
        raise FatalError(message, hint="Name one that exists.", status=ExitStatus.CONFIG) from None
    return AccessRule(os.geteuid(), gid)
