"""Bytes in, messages out: the version 1 transport without a socket.

Every refusal here is final: a peer whose bytes are no message is disconnected, as Bitcoin Core does. As there, a whole
message whose checksum is false, or whose command is no text, is passed over (``V1Transport``, ``src/net.cpp``).
"""

import logging
from collections.abc import Iterator
from io import BytesIO

from btclib.exceptions import BTClibException, IncompleteMessageError
from btclib.p2p import Message, Payload

log = logging.getLogger("bitcoind_mp.net")

_HEADER_SIZE = 24
#: Where a header has its payload's length, and the most that it may be (``MAX_PROTOCOL_MESSAGE_LENGTH``).
_LENGTH = slice(16, 20)
_LONGEST = 4_000_000


class PeerEndedError(Exception):
    """The connection is to end; the text says why."""


class PeerMisbehavedError(PeerEndedError):
    """The peer did what no honest one does; the text says what. It is disconnected, unless the operator named it or
    said not to (Core's ``Misbehaving``)."""


class Wire:
    """Cuts one connection's bytes into messages.

    Holds at most one incomplete message, whose size the transport bounds at 4 MB (``MAX_PROTOCOL_MESSAGE_LENGTH``)
    from its header, before its payload has come.

    Args:
        magic: the network's message start, 4 bytes.
    """

    def __init__(self, magic: bytes) -> None:
        self.magic = magic
        self._buffer = bytearray()
        self._wanted = _HEADER_SIZE

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take what the socket gave; each message that it completes, in order.

        Raises:
            PeerEndedError: another network's message, or no message at all.
        """
        self._buffer += data
        if self._buffer[: len(self.magic)] != self.magic[: len(self._buffer)]:
            raise PeerEndedError("message start of another network or transport")
        if len(self._buffer) < self._wanted:
            return
        stream = BytesIO(bytes(self._buffer))
        taken = 0
        try:
            while True:
                try:
                    message = Message.parse(stream)
                except IncompleteMessageError as incomplete:
                    self._wanted = len(self._buffer) - taken + incomplete.missing
                    return
                except BTClibException as error:
                    taken = self._passed_over(taken, error)
                    if len(self._buffer) < taken + self._wanted:
                        return
                    stream.seek(taken)
                    continue
                if message.magic != self.magic:
                    raise PeerEndedError("message start of another network")
                taken = stream.tell()
                yield message
        finally:
            del self._buffer[:taken]

    def _passed_over(self, start: int, error: BTClibException) -> int:
        """Where the message after a bad one starts, once that one is whole."""
        header = self._buffer[start : start + _HEADER_SIZE]
        length = int.from_bytes(header[_LENGTH], "little")
        if header[: len(self.magic)] != self.magic or length > _LONGEST:
            raise PeerEndedError(f"not a message: {error}") from error
        self._wanted = _HEADER_SIZE + length
        if len(self._buffer) < start + self._wanted:
            return start
        log.debug("ignoring a bad message: %s", error)
        start += self._wanted
        self._wanted = _HEADER_SIZE
        return start

    def pack(self, payload: Payload) -> bytes:
        """The message that carries this payload. What the node sends has been checked where it was made."""
        return Message(self.magic, payload.command, payload.serialize(check_validity=False)).serialize()

    def pack_raw(self, command: str, payload: bytes) -> bytes:
        """The message with a payload that is serialised already (a stored block)."""
        return Message(self.magic, command, payload).serialize()
