"""Lines over a plain blocking socket, for the one-shot command line, which is paid for at each command.

Its caller makes and reads the JSON; a whole call with values is ``blocking.py``. It imports nothing that an
interpreter hasn't loaded at its start, but the C ``_socket``: ``socket`` around it costs more than the call.
"""

import os
import os.path
from _socket import AF_UNIX, SOCK_STREAM, socket

#: sun_path holds 108 bytes with its final zero (unix(7)).
_LONGEST_PATH = 107
_PIECE = 256 * 1024


class Connection:
    """A connection to a server's socket.

    Raises:
        OSError: nobody listens there (`FileNotFoundError`, `ConnectionRefusedError`, `PermissionError`).
    """

    def __init__(self, path: str, *, timeout: "float | None" = None) -> None:
        self._socket = socket(AF_UNIX, SOCK_STREAM)
        self._held = b""
        try:
            # Without a timeout: with one, connect(2) would not wait for room in the server's queue.
            _connect(self._socket, path)
            self._socket.settimeout(timeout)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For select(2). What has been read and not yet asked for isn't seen by that."""
        return self._socket.fileno()

    def send(self, line: bytes) -> None:
        """Send one message, without its newline. Raises OSError."""
        self._socket.sendall(line + b"\n")

    def receive(self, timeout: "float | None" = None) -> bytes:
        """The next line, without its newline. May be called again after a `TimeoutError`.

        Raises:
            TimeoutError: no whole line came within ``timeout`` seconds (None: no limit) of silence.
            ConnectionError: the other side closed the connection.
        """
        self._socket.settimeout(timeout)
        pieces = [self._held]
        while b"\n" not in pieces[-1]:
            try:
                piece = self._socket.recv(_PIECE)
            except TimeoutError:
                self._held = b"".join(pieces)
                raise
            if not piece:
                raise ConnectionResetError("the server closed the connection")
            pieces.append(piece)
        line, _, self._held = b"".join(pieces).partition(b"\n")
        return line

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()


def _connect(connecting: socket, path: str) -> None:
    encoded = os.fsencode(path)
    if len(encoded) <= _LONGEST_PATH:
        connecting.connect(encoded)
        return
    folder, name = os.path.split(encoded)
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        connecting.connect(b"/proc/self/fd/%d/%s" % (directory, name))
    finally:
        os.close(directory)
