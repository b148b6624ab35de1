"""A filter of system calls (seccomp(2)), made by libseccomp through its C interface.

``ctypes`` on ``libseccomp.so.2``, four functions, and not the package pyseccomp: that looks for the library by
spawning a compiler, and wraps what isn't needed here. Where the library is missing there is no filter, and
`Unavailable` says so.
"""

import ctypes
import errno
import fcntl
import os
import socket
import termios
from collections.abc import Iterable
from dataclasses import dataclass

from . import syscalls

_LIBRARY = "libseccomp.so.2"
#: SCMP_ACT_ALLOW; SCMP_ACT_ERRNO(n) is the latter plus n.
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
#: enum scmp_filter_attr
_TSYNC, _OPTIMIZE = 4, 8
_BINARY_TREE = 2
#: enum scmp_compare
_NE, _EQ, _MASKED_EQ = 1, 4, 7
_CLONE_THREAD = 0x00010000
_32_BITS = 0xFFFFFFFF
#: Of a socket's type, without its flags (SOCK_TYPE_MASK).
_KIND = 0xF
_OTHER_KINDS = (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)
#: What a program may ask for and do without, where it is told that there is none.
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET)
#: What the interpreter asks of descriptors. Not TIOCSTI, which types on a terminal for whoever reads it next.
_IOCTLS = (
    termios.FIOCLEX, termios.FIONBIO, termios.FIONCLEX, termios.FIONREAD, termios.TCGETS, termios.TIOCGWINSZ,
    termios.TIOCOUTQ,
)  # fmt: skip

#: fcntl(2): descriptors, flags, locks, pipes' sizes and seals. Not what sends signals to whoever is named (F_SETOWN,
#: F_SETSIG), nor leases, by which whoever opens the file next waits for its holder.
_FCNTLS = (
    fcntl.F_DUPFD, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_GETLK, fcntl.F_SETLK,
    fcntl.F_SETLKW, fcntl.F_OFD_GETLK, fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW, fcntl.F_DUPFD_CLOEXEC,
    fcntl.F_GETPIPE_SZ, fcntl.F_ADD_SEALS, fcntl.F_GET_SEALS,
)  # fmt: skip
_NO_FCNTLS = (fcntl.F_SETOWN, fcntl.F_SETSIG, 15, fcntl.F_SETLEASE, fcntl.F_NOTIFY)  # 15: F_SETOWN_EX
#: setsockopt(2): level and option. Not SO_LINGER: whoever is passed such a socket waits when he closes it. Nor filters,
#: nor the size of a buffer that others have too.
_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR), (socket.SOL_SOCKET, socket.SO_REUSEPORT),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.SOL_SOCKET, socket.SO_SNDTIMEO),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
    (socket.IPPROTO_IP, 11), (socket.IPPROTO_IPV6, 25),  # IP_RECVERR, IPV6_RECVERR: how names are looked up
)  # fmt: skip

#: prctl(2): a thread's name, memory's name, and what can only be asked or given up. Not PR_SET_DUMPABLE, nor
#: PR_SET_PTRACER: a process that is closed to others' eyes stays closed.
_PRCTLS = (
    2, 3, 7, 15, 16, 21, 23, 27, 30, 38, 39, 40, 42, 0x41555856, 0x53564D41,
)  # fmt: skip
_PR_SET_DUMPABLE, _PR_SET_PTRACER = 4, 0x59616D61


class Unavailable(Exception):
    """There is no filter; why, in words."""


class _Compare(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@dataclass(frozen=True)
class Rule:
    """One system call: what it answers (0: it is carried out), where every condition on its arguments holds."""

    name: str
    error: int = 0
    conditions: tuple[tuple[int, int, int, int], ...] = ()


def rules(families: Iterable[int], pid: int) -> tuple[Rule, ...]:
    """What is carried out and what is refused. What is in neither is answered as by a kernel that doesn't have it
    (ENOSYS): the C library then does without.

    ``families``: of the sockets that may still be made; without any, those that there are go to no other address, as
    far as a filter sees it (not in sendmsg's memory: that is how a manager is told). ``pid``: this process, whose own
    threads alone it may signal.
    """
    allowed = [Rule(name) for name in syscalls.ALLOWED]
    refused = [Rule(name, errno.EPERM) for name in syscalls.REFUSED]
    own = [Rule(name, 0, ((0, _EQ, pid, 0),)) for name in syscalls.TO_A_PROCESS]
    others = [Rule(name, errno.EPERM, ((0, _NE, pid, 0),)) for name in syscalls.TO_A_PROCESS]
    limits = [
        Rule("prlimit64", 0, ((0, _EQ, 0, 0),)),
        Rule("prlimit64", 0, ((0, _EQ, pid, 0),)),
    ]
    threads = [
        Rule("clone", 0, ((0, _MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD),)),
        Rule("clone", errno.EPERM, ((0, _MASKED_EQ, _CLONE_THREAD, 0),)),
    ]
    # 32 bits wide: what stands above them in the register counts for nothing.
    wanted = set(families)
    controls = [Rule("ioctl", 0, ((1, _MASKED_EQ, _32_BITS, number),)) for number in _IOCTLS]
    sockets = [Rule("socket", 0, ((0, _MASKED_EQ, _32_BITS, family),)) for family in wanted]
    strange = [
        Rule("socket", errno.EAFNOSUPPORT, ((0, _MASKED_EQ, _32_BITS, family),))
        for family in _FAMILIES
        if family not in wanted
    ]
    itself = [Rule("prctl", 0, ((0, _MASKED_EQ, _32_BITS, number),)) for number in _PRCTLS]
    itself += [
        Rule("prctl", errno.EPERM, ((0, _MASKED_EQ, _32_BITS, number),))
        for number in (_PR_SET_DUMPABLE, _PR_SET_PTRACER)
    ]
    files = [Rule(name, 0, ((1, _MASKED_EQ, _32_BITS, number),)) for name in ("fcntl", "fcntl64") for number in _FCNTLS]
    files += [
        Rule(name, errno.EPERM, ((1, _MASKED_EQ, _32_BITS, number),))
        for name in ("fcntl", "fcntl64")
        for number in _NO_FCNTLS
    ]
    options = [
        Rule("setsockopt", 0, ((1, _MASKED_EQ, _32_BITS, level), (2, _MASKED_EQ, _32_BITS, option)))
        for level, option in _OPTIONS
    ]
    lingering = ((1, _MASKED_EQ, _32_BITS, socket.SOL_SOCKET), (2, _MASKED_EQ, _32_BITS, socket.SO_LINGER))
    options.append(Rule("setsockopt", errno.EPERM, lingering))
    watching = [Rule(name, 0 if socket.AF_UNIX in wanted else errno.EPERM) for name in syscalls.WATCHING]
    # Streams: an end of a pair of datagrams could be connected to another address, or send there.
    pairs = [
        Rule("socketpair", 0, ((0, _MASKED_EQ, _32_BITS, socket.AF_UNIX), (1, _MASKED_EQ, _KIND, socket.SOCK_STREAM)))
    ]
    pairs += [Rule("socketpair", errno.EPERM, ((1, _MASKED_EQ, _KIND, kind),)) for kind in _OTHER_KINDS]
    if wanted:
        addressed = [Rule(name) for name in syscalls.TO_AN_ADDRESS]
    else:
        addressed = [Rule(name, errno.EPERM) for name in syscalls.TO_AN_ADDRESS if name != "sendto"]
        addressed += [Rule("sendto", 0, ((4, _EQ, 0, 0),)), Rule("sendto", errno.EPERM, ((4, _NE, 0, 0),))]
    return (
        *addressed,
        *allowed,
        *refused,
        *own,
        *others,
        *limits,
        *threads,
        *controls,
        *itself,
        *files,
        *options,
        *watching,
        *sockets,
        *strange,
        *pairs,
    )


def install(families: Iterable[int], library_name: str = _LIBRARY) -> None:
    """Bind every thread of this process by the filter, for good. no_new_privs must be set.

    Raises:
        Unavailable: there is no library, or the kernel takes no filter.
    """
    try:
        library = ctypes.CDLL(library_name)
    except OSError as error:
        raise Unavailable(f"{library_name} is not installed") from error
    library.seccomp_init.restype = ctypes.c_void_p
    context = library.seccomp_init(ctypes.c_uint32(_ERRNO | errno.ENOSYS))
    if not context:
        raise Unavailable("libseccomp could not make a filter")
    filtering = ctypes.c_void_p(context)
    try:
        for rule in rules(families, os.getpid()):
            _add(library, filtering, rule)
        library.seccomp_attr_set(filtering, _OPTIMIZE, ctypes.c_uint32(_BINARY_TREE))  # since 2.5; else a longer way
        _check(library.seccomp_attr_set(filtering, _TSYNC, ctypes.c_uint32(1)), "TSYNC")
        _check(library.seccomp_load(filtering), "loading the filter")
    finally:
        library.seccomp_release(filtering)


def _add(library: ctypes.CDLL, context: ctypes.c_void_p, rule: Rule) -> None:
    number = int(library.seccomp_syscall_resolve_name(rule.name.encode()))
    if number < 0:
        return  # newer than the library, or not of this architecture
    action = ctypes.c_uint32(_ERRNO | rule.error if rule.error else _ALLOW)
    comparisons = (_Compare * len(rule.conditions))(*(_Compare(*condition) for condition in rule.conditions))
    result = library.seccomp_rule_add_array(
        context, action, ctypes.c_int(number), ctypes.c_uint(len(rule.conditions)), comparisons
    )
    if result:
        raise Unavailable(f"libseccomp refused {rule.name}: {os.strerror(-result)}")


def _check(result: int, what: str) -> None:
    if result:
        raise Unavailable(f"{what}: {os.strerror(-result) if -result in errno.errorcode else result}")
