"""A connection on a plain blocking socket, for the one-shot command line: as few imports as can be.

`Connection` sends lines and receives lines; its caller makes and reads the JSON. `call` is one whole call with
values. The C ``_socket`` is used as it is: ``socket`` around it costs more than the call.
"""

import os
import os.path
from _socket import AF_UNIX, SOCK_STREAM, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
        self._socket.settimeout(timeout)
        self._held = b""
        try:
            _connect(self._socket, path)
        except OSError:
            self._socket.close()
            raise

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


def call(path: str, method: str, params: "Any" = (), *, wallet: "str | None" = None, timeout: float = 900.0) -> "Any":
    """Call a command and return its result as plain JSON values (numbers with a fraction are Decimals).

    Raises `RpcError`, `Disconnected`, `CallTimeout`, or OSError where nobody listens."""
    from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError

    from .encoding import decode, encode

    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    if wallet is not None:
        message["wallet"] = wallet
    connection = Connection(path, timeout=timeout)
    try:
        connection.send(encode(message))
        reply = decode(connection.receive(timeout))
    except TimeoutError:
        raise CallTimeout(f"{method}: no answer within {timeout:g} s") from None
    except ConnectionError as error:
        raise Disconnected(f"{method}: {error}") from error
    finally:
        connection.close()
    if "error" in reply:
        refusal = reply["error"]
        raise RpcError(refusal["code"], refusal["message"], refusal.get("data"))
    return reply["result"]
