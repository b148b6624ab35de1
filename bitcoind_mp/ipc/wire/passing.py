"""Connections that have no address: one process makes both ends, and passes one over a channel that only two have.

A channel is a pair of sequential-packet sockets, made by whoever starts both processes and kept by it: what was passed
to a process that is being started again waits in the kernel's queue, and the next one takes it. Each packet carries one
end of a new stream (SCM_RIGHTS, unix(7)); after that nothing is different from an accepted connection.
"""

import array
import os
import select
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial

#: What a packet says beside its descriptor: at least one byte must be there.
_HERE = b"."
#: SCM_MAX_FD (unix(7)).
_MOST_IN_A_PACKET = 253


def is_channel(end: socket.socket) -> bool:
    """Whether it is an end of one, not a listening socket."""
    return end.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_SEQPACKET


def call_over(end: socket.socket) -> socket.socket:
    """A new connection, whose other end is on its way.

    Raises OSError: nobody holds the channel's other end any more, or too many wait in it already (BlockingIOError)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with theirs:
            along = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))]
            end.sendmsg([_HERE], along, socket.MSG_DONTWAIT)  # not socket.send_fds, which forgets the flag
    except BaseException:
        ours.close()
        raise
    return ours


def take_from(end: socket.socket) -> socket.socket | None:
    """The next connection that was passed; None for a packet that brought no stream of ours: whoever sends is not
    believed to send what it should.

    Raises BlockingIOError where none waits, EOFError where nobody can send any more; OSError."""
    taken = _packet(end, 4)
    if len(taken) == 1:
        return taken[0]
    for connected in taken:
        connected.close()
    return None


def take_all(end: socket.socket) -> list[socket.socket]:
    """All connections that wait in a channel into which many were put at once, which is closed then."""
    taken: list[socket.socket] = []
    with end, suppress(BlockingIOError, EOFError):
        while True:
            taken += _packet(end, _MOST_IN_A_PACKET)
    return taken


def _packet(end: socket.socket, most: int) -> list[socket.socket]:
    """The connected streams that the next packet brought. Raises as `take_from`."""
    # Not socket.recv_fds, which forgets the flags. Whether an end waits is otherwise for all to say who hold it.
    flags = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
    descriptors = array.array("i")
    message, ancillary, _, _ = end.recvmsg(len(_HERE), socket.CMSG_LEN(most * descriptors.itemsize), flags)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    if not message and not descriptors and _is_left(end):
        raise EOFError
    return [found for descriptor in descriptors if (found := _stream(descriptor)) is not None]


def _is_left(end: socket.socket) -> bool:
    """Whether nobody holds the other end any more. A packet with nothing in it looks the same to who receives."""
    poll = select.poll()
    poll.register(end, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _stream(descriptor: int) -> socket.socket | None:
    """The connected Unix stream that it is; closed, and None, where it is something else."""
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            found = socket.socket(fileno=descriptor)
            if _is_connected_stream(found):
                return found
            found.close()
            return None
    os.close(descriptor)
    return None


def _is_connected_stream(found: socket.socket) -> bool:
    try:
        found.getpeername()
        listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        return False
    return (found.family, found.type & ~socket.SOCK_NONBLOCK) == (socket.AF_UNIX, socket.SOCK_STREAM) and not listens


#: Makes a connection to a server that has no path; see `call_over`.
Dial = Callable[[], socket.socket]


def dialling(end: socket.socket | None) -> Dial | None:
    """How to call over that end; None where there is none."""
    return partial(call_over, end) if end is not None else None
