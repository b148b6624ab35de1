"""Landlock (landlock(7)), by system call: which files may be opened, which TCP ports used, who may be signalled.

A ruleset names the rights that it takes away, and the places where they stay. It binds the calling thread and the
threads and processes that it makes from then on, for good; it also keeps them from tracing whoever isn't bound by it.
Constants are those of ``include/uapi/linux/landlock.h``, up to version 7 of the interface. What is newer is left alone.
"""

import ctypes
import enum
import errno
import os
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2


class Fs(enum.IntFlag):
    """LANDLOCK_ACCESS_FS_*"""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


class Net(enum.IntFlag):
    """LANDLOCK_ACCESS_NET_*"""

    BIND_TCP = 1 << 0
    CONNECT_TCP = 1 << 1


class Scope(enum.IntFlag):
    """LANDLOCK_SCOPE_*"""

    ABSTRACT_UNIX_SOCKET = 1 << 0
    SIGNAL = 1 << 1


#: What a regular file can be opened for: of a rule for a file, the kernel takes nothing else.
_OF_FILES = Fs.EXECUTE | Fs.WRITE_FILE | Fs.READ_FILE | Fs.TRUNCATE | Fs.IOCTL_DEV
READ = Fs.READ_FILE | Fs.READ_DIR
#: Regular files and directories, no sockets, devices or links that lead elsewhere. REFER: hard links and renames from
#: one directory to another.
WRITE = READ | Fs.WRITE_FILE | Fs.TRUNCATE | Fs.MAKE_REG | Fs.MAKE_DIR | Fs.REMOVE_FILE | Fs.REMOVE_DIR | Fs.REFER
#: (the version of the interface, what it added, in words for an operator)
_SINCE: tuple[tuple[int, Fs | Net | Scope, str], ...] = (
    (1, Fs(0x1FFF), "files (Landlock, Linux 5.13)"),
    (2, Fs.REFER, "links between directories (Landlock ABI 2, Linux 5.19)"),
    (3, Fs.TRUNCATE, "cutting files short (Landlock ABI 3, Linux 6.2)"),
    (4, Net.BIND_TCP | Net.CONNECT_TCP, "TCP ports (Landlock ABI 4, Linux 6.7)"),
    (5, Fs.IOCTL_DEV, "control of devices (Landlock ABI 5, Linux 6.10)"),
    (6, Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL, "signals and abstract sockets (Landlock ABI 6, Linux 6.12)"),
)
NEWEST = 7


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _NetPort(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


@dataclass(frozen=True)
class Rules:
    """Where rights stay. Everything else that Landlock knows is taken away; ``connect`` is whether TCP connections
    may be made to any port."""

    paths: tuple[tuple[Path, Fs], ...] = ()
    bind: tuple[int, ...] = ()
    connect: bool = False


def version() -> int:
    """The version of the interface that the kernel has; 0: none, or switched off."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def lacking(abi: int) -> list[str]:
    """What that version of the interface can't control, in words."""
    if abi < 1:
        return [words for since, _, words in _SINCE if since == 1]
    return [words for since, _, words in _SINCE if since > abi]


def handled(abi: int, rules: Rules) -> tuple[Fs, Net, Scope]:
    """The rights to take away: of those that the version knows, all but what the rules leave altogether."""
    fs, net, scope = Fs(0), Net(0), Scope(0)
    for since, rights, _ in _SINCE:
        if since > abi:
            continue
        if isinstance(rights, Fs):
            fs |= rights
        elif isinstance(rights, Net):
            net |= rights & ~Net.CONNECT_TCP if rules.connect else rights
        else:
            scope |= rights
    return fs, net, scope


def restrict(rules: Rules, abi: int) -> None:
    """Bind the calling thread by the rules, as far as this version of the interface has what they are about.

    no_new_privs must be set. A path that doesn't exist is no place where anything is allowed.

    Raises:
        OSError: the kernel doesn't take them.
    """
    fs, net, scope = handled(abi, rules)
    attr = _RulesetAttr(fs, net, scope)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path, rights in rules.paths:
            _allow_path(ruleset, path, rights & fs)
        if net & Net.BIND_TCP:
            for port in rules.bind:
                beneath = _NetPort(Net.BIND_TCP, port)
                _call(_ADD_RULE, ruleset, _RULE_NET_PORT, ctypes.byref(beneath), ctypes.c_uint32(0))
        _call(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow_path(ruleset: int, path: Path, rights: Fs) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    held = path.is_relative_to("/proc")  # there, a file that nobody holds becomes another one, without the rule
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        rule = _PathBeneath(rights, descriptor)
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        if not held:
            os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    """syscall(2). Raises OSError."""
    result = int(_libc().syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock (system call {number}): {os.strerror(code)}")
    return result


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
