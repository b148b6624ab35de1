"""Speaking to the systemd journal: its native protocol, for entries with fields (systemd.journal-fields(7)).

One datagram an entry to ``/run/systemd/journal/socket``, ``NAME=value`` a line, or, where the value has lines of its
own, the name, its length and the bytes. An entry that is too big for a datagram goes as a sealed memfd.
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL)
"""

import array
import errno
import fcntl
import os
import socket
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class JournalSocket:
    """Sends entries, and never waits: `send` says whether the journal took one."""

    def __init__(self, address: str = SOCKET) -> None:
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def send(self, fields: Mapping[str, str | bytes]) -> bool:
        """One entry. False where nobody took it, or the journal is behind."""
        data = encode(fields)
        try:
            try:
                # not sendto(2), which those are refused that may call nobody
                self._socket.sendmsg([data], [], 0, self._address)
            except OSError as error:
                if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                    raise
                self._send_file(data)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()

    def _send_file(self, data: bytes) -> None:
        file = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            # not socket.send_fds, which forgets the address
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
            self._socket.sendmsg([b""], passed, 0, self._address)
        finally:
            os.close(file)


def encode(fields: Mapping[str, str | bytes]) -> bytes:
    """An entry as it goes over the wire."""
    parts = []
    for name, text in fields.items():
        value = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
        if b"\n" in value:
            parts.append(name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n")
        else:
            parts.append(name.encode() + b"=" + value + b"\n")
    return b"".join(parts)


class Entries:
    """Entries as all of ours are, written as ``identifier`` (SYSLOG_IDENTIFIER)."""

    def __init__(self, identifier: str, journal: JournalSocket) -> None:
        self._identifier = identifier
        self._journal = journal

    def add(
        self,
        message: str | bytes,
        priority: int,
        *,
        unit: str,
        pid: int | None,
        message_id: str = "",
        cause: str = "",
    ) -> bool:
        """One entry about ``unit`` (supervisor, node or wallet) and its process ``pid``: the journal's own _PID is that
        of whoever wrote the entry. ``cause``: why that process ended. False where the journal didn't take it."""
        fields = {
            "MESSAGE": message,
            "PRIORITY": str(priority),
            "SYSLOG_IDENTIFIER": self._identifier,
            "UNIT": unit,
        }
        if pid is not None:
            fields["PID"] = str(pid)
        if message_id:
            fields["MESSAGE_ID"] = message_id
        if cause:
            fields["CAUSE"] = cause
        return self._journal.send(fields)
