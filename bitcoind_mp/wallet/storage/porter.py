"""A process that carries wallet files where the wallet's process, being confined, can't reach.

A person may name any place for a backup; the process that holds keys and talks to others must not have them all within
reach. So a fork of it, made before it confines itself, does that and nothing else: it holds no key, serves no socket,
and whatever it is asked, it writes only files that are wallets, over nothing that isn't one, and hands over only files
that are. A wallet process that was broken into gets no further by it.

Asked over a pair of sockets with one JSON object a message, files as descriptors; its end of file ends the process.
"""

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from bitcoind_mp.config.state import replacing, sync_directory

from .carrier import Carrier
from .core_file import is_core_file
from .directory import is_ours
from .ledger import FILE_NAME, is_wallet_descriptor, is_wallet_file
from .overwriting import require_free, require_heir, require_lasting

_LARGEST = 65_536
_PATIENCE = 600.0
"""Seconds for one file. Its copy waits for a disk, no more."""
#: What lies where a backup is to go is looked at under this name, beside the copy.
_EARLIER = "earlier.partial"
#: What programs obey that know a file by its name, and pass over lines of it that mean nothing to them: settings
#: (bitcoin.conf), code (a .pth beside Python's packages), what starts services. None of these is a backup.
_OBEYED = (
    ".bash", ".cfg", ".conf", ".cron", ".desktop", ".ini", ".js", ".json", ".lock", ".mk", ".path", ".pid", ".pl",
    ".pth", ".py", ".pyc", ".rb", ".rules", ".service", ".sh", ".so", ".sock", ".socket", ".target", ".timer", ".toml",
    ".xml", ".yaml", ".yml", ".zsh",
)  # fmt: skip


class Porter(Carrier):
    """The wallet process's side."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        channel.settimeout(_PATIENCE)

    def put(self, copy: Path, destination: Path) -> None:
        earlier = copy.with_name(_EARLIER)
        try:
            self.fetch(destination, earlier)  # of what isn't there, or is no wallet, an empty one
            if earlier.stat().st_size:
                require_heir(copy, earlier, destination)
        finally:
            earlier.unlink(missing_ok=True)
        with copy.open("rb") as file:
            self._ask({"put": os.path.abspath(destination)}, file.fileno())  # noqa: PTH100 (links stay as they are)

    def is_core(self, backup: Path) -> bool:
        return bool(self._ask({"core": os.path.abspath(backup)})[0]["core"])  # noqa: PTH100

    def fetch(self, backup: Path, target: Path) -> None:
        _, descriptors = self._ask({"get": os.path.abspath(backup)})  # noqa: PTH100
        with replacing(target) as partial, partial.open("wb") as copy:
            for descriptor in descriptors:  # none where it is no wallet: an empty file is none either
                with os.fdopen(descriptor, "rb") as file:
                    shutil.copyfileobj(file, copy)
        sync_directory(target.parent)

    def _ask(self, request: dict[str, str], *descriptors: int) -> tuple[dict[str, Any], list[int]]:
        socket.send_fds(self._channel, [json.dumps(request).encode()], list(descriptors))
        data, received, _, _ = socket.recv_fds(self._channel, _LARGEST, 1)
        if not data:
            raise ConnectionError("The process that carries backups has ended: restart the wallet.")
        answer = json.loads(data)
        if "errno" in answer:
            raise OSError(answer["errno"], answer["error"], answer.get("path"))
        return answer, received


def hire(closed: Iterable[Path], confine: Callable[[], object], wallets: Path | None = None) -> Porter:
    """Fork it off. ``closed``: where it carries nothing, whatever it is told. ``confine``: called in it, first.
    ``wallets``: where wallets lie, which it never writes over.

    For a process without other threads. Raises OSError.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    if os.fork() == 0:
        _live(theirs, [path.parent.resolve() / path.name for path in closed], wallets and wallets.resolve(), confine)
    theirs.close()
    return Porter(ours)


def _live(channel: socket.socket, closed: list[Path], wallets: Path | None, confine: Callable[[], object]) -> NoReturn:
    """The fork's whole life. What it inherited beside the channel is not for it to hold: locks, sockets, the log."""
    status = os.EX_SOFTWARE
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # its end is the wallet's
        descriptor = channel.fileno()
        os.closerange(0, descriptor)
        os.closerange(descriptor + 1, 1 << 20)
        for _ in range(3):
            os.open(os.devnull, os.O_RDWR)
        confine()
        work(channel, closed, wallets)
        status = os.EX_OK
    finally:
        os._exit(status)


def work(channel: socket.socket, closed: list[Path], wallets: Path | None = None) -> None:
    """Carry, until nobody is left who could ask."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, _LARGEST, 1)
        if not data:
            return
        handed: list[int] = []
        try:
            answer = _carry(json.loads(data), descriptors, closed, wallets, handed)
        except OSError as error:
            answer = {"errno": error.errno or 5, "error": error.strerror or str(error), "path": error.filename}
        socket.send_fds(channel, [json.dumps(answer).encode()], handed)
        for descriptor in (*descriptors, *handed):
            os.close(descriptor)


def _carry(
    request: dict[str, str], descriptors: list[int], closed: list[Path], wallets: Path | None, handed: list[int]
) -> dict[str, Any]:
    if "core" in request:
        return {"core": is_core_file(Path(request["core"]))}
    if "get" in request:
        path = Path(request["get"])
        if is_wallet_file(path):
            handed.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            if not is_wallet_descriptor(handed[0]):  # another by now
                os.close(handed.pop())
        return {}
    destination = Path(request["put"])
    is_wallets_own = destination.name.startswith(FILE_NAME) or is_ours(destination.name)
    if is_wallets_own and wallets is not None and destination.parent.resolve(strict=True).is_relative_to(wallets):
        raise PermissionError(1, "A wallet of its own would be there: it is not written over", str(destination))
    _put(descriptors[0], destination, closed)
    return {}


def _put(source: int, destination: Path, closed: list[Path]) -> None:
    """Write a wallet file. Raises OSError."""
    if not is_wallet_descriptor(source):
        raise PermissionError(1, "That is no wallet file")
    directory = destination.parent.resolve(strict=True)
    _require_open(directory / destination.name, closed)
    require_lasting(directory)
    require_free(destination)
    partial = directory / (destination.name + ".partial")
    require_free(partial)
    partial.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as copy:
            with os.fdopen(os.dup(source), "rb") as file:
                file.seek(0)
                shutil.copyfileobj(file, copy)
            copy.flush()
            if not is_wallet_descriptor(copy.fileno()):  # whoever asks may have changed it meanwhile
                raise PermissionError(1, "That is no wallet file")
            os.fsync(copy.fileno())
        partial.replace(directory / destination.name)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(directory)


def _code() -> list[Path]:
    """Where this interpreter looks for modules, and an environment of its own."""
    environment = [sys.prefix] if sys.prefix != sys.base_prefix else []
    return [Path(entry).resolve() for entry in (*sys.path, *environment) if entry]


def _require_open(path: Path, closed: list[Path]) -> None:
    """Not where other programs look for what they obey (``.ssh/``, ``.config/``) or by a name that they do, nor where
    the node has its files, or Python code that we may run."""
    for place in (*closed, *(place.resolve() for place in closed), *_code()):
        if path.is_relative_to(place):
            raise PermissionError(1, "Backups are not written there: it is not for wallets", str(path))
    if path.suffix.lower() in _OBEYED:
        why = f"Backups are not written to files of that kind ({path.suffix}), which programs obey: name another"
        raise PermissionError(1, why, str(path))
    # in a hidden directory, unless that is the data directory's own
    own = os.path.commonpath([path, *closed]) if closed else ""
    hidden = [part for part in path.relative_to(own or "/").parts if part.startswith(".")]
    if hidden:
        raise PermissionError(1, "Backups are not written to hidden files or directories", str(path))
