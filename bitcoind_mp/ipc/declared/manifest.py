"""The table of commands that a server writes beside its socket, read by the front end and the supervisor.

JSON: ``{"role", "chain", "version", "protocol", "pid", "commands": [{"name", "topic", "summary", "usage", "changes",
"hidden", "options", "params": [{"name", "type", "required", "aliases", "secret"}], "named": [{"name", "type",
"param"}]}]}``; and "wallet" where it serves that wallet alone. A supervisor's has "run", its units' sockets' directory;
one that listens elsewhere than there writes its table both beside its socket and there, with its "socket".

``type`` is JSON type names joined by "|" (string, number, boolean, array, object), or "any". A parameter whose
type is "string" is taken from a command line as it stands; every other one is parsed as JSON, but for a
"hash_or_height", which may be either. ``named`` are members of the options parameter ``param`` that may
be given by name at the top level. False, empty and absent are the same.

The reading half imports nothing at module level: the one-shot command line pays for it.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from bitcoind_mp.interfaces.init import Hello

    from .signature import Method, Parameter


#: Bytes of a table that are read: one that somebody who broke into its writer let grow is no table.
LONGEST = 4 << 20


def describe(hello: "Hello", methods: "Iterable[Method]") -> dict[str, Any]:
    """The manifest of a server's commands."""
    commands = [_command(method) for method in methods if method.is_command]
    return {
        "role": hello.role,
        "chain": hello.chain,
        "version": hello.version,
        "protocol": hello.protocol,
        "pid": hello.pid,
        "commands": commands,
    }


def _command(method: "Method") -> dict[str, Any]:
    from .help import usage

    declaration = method.declaration
    entry: dict[str, Any] = {
        "name": method.name,
        "topic": declaration.topic,
        "summary": method.doc.summary,
        "usage": usage(method),
        "changes": declaration.changes,
        "hidden": declaration.hidden,
        "options": declaration.options,
        "params": [_parameter(parameter) for parameter in method.parameters],
        "named": [
            {**_parameter(inner), "param": parameter.name}
            for parameter in method.parameters
            for inner in parameter.named_only
        ],
    }
    return {key: value for key, value in entry.items() if value or key == "params"}


def _parameter(parameter: "Parameter") -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": parameter.name,
        "type": "|".join(parameter.kinds) or "any",
        "required": parameter.required,
        "aliases": list(parameter.aliases),
        "secret": parameter.secret,
    }
    return {key: value for key, value in entry.items() if value}


def write(path: "str | os.PathLike[str]", manifest: dict[str, Any]) -> None:
    """Write it in one step (a reader sees the old one or the new one). A group that may use the socket beside it may
    read it too. Raises OSError."""
    import json

    target = os.fspath(path)
    unfinished = f"{target}.{os.getpid()}.new"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            _share(descriptor, target.removesuffix(".json") + ".sock")
            json.dump(manifest, file, separators=(",", ":"))
        os.rename(unfinished, target)  # noqa: PTH104 (no pathlib here)
    except BaseException:
        os.unlink(unfinished)  # noqa: PTH108
        raise


class Table:
    """The manifest's file, opened by a process that can't make files beside its socket later.

    What is in it stays until `write`, or is nothing yet. A reader that meets half of it waits (`read`).

    Raises:
        OSError: it can't be opened.
    """

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self._path = os.fspath(path)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, manifest: dict[str, Any]) -> None:
        """Write it, once. Raises OSError."""
        import fcntl
        import json

        text = json.dumps(manifest, separators=(",", ":")).encode()
        with os.fdopen(self._descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _share(file.fileno(), self._path.removesuffix(".json") + ".sock")
            file.write(text)
            file.truncate(len(text))


def _share(descriptor: int, beside: str) -> None:
    try:
        socket = os.stat(beside)  # noqa: PTH116 (no pathlib here)
    except FileNotFoundError:
        return
    if socket.st_mode & 0o060:
        os.fchown(descriptor, -1, socket.st_gid)
        os.fchmod(descriptor, 0o640)


def read(path: "str | os.PathLike[str]", *, wait: bool = True) -> dict[str, Any] | None:
    """The manifest, or None where there is none that can be read, of at most `LONGEST` bytes. One that is being
    written is waited for, unless the reader must not ``wait``: a worker that keeps its table's lock would hold it up
    for ever."""
    import json

    try:
        with open(path, "rb") as file:  # noqa: PTH123
            try:
                found = json.loads(file.read(LONGEST))
            except ValueError:
                found = json.loads(_whole(file, wait))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _is_list_of_commands(found.get("commands")) else None


def _is_list_of_commands(found: Any) -> bool:
    return isinstance(found, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("usage", ""), str)
        for entry in found
    )


def _whole(file: "BinaryIO", wait: bool) -> bytes:
    """The file once nobody writes it. Raises BlockingIOError where somebody does, and it isn't to be waited for."""
    import fcntl

    fcntl.flock(file, fcntl.LOCK_SH | (0 if wait else fcntl.LOCK_NB))
    file.seek(0)
    return file.read(LONGEST)
