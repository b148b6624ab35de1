"""Bytes in, messages out: the version 1 transport without a socket.

Every refusal here is final: a peer whose bytes are no message is disconnected, as Bitcoin Core does.
"""

from collections.abc import Iterator
from io import BytesIO

from btclib.exceptions import BTClibException, IncompleteMessageError
from btclib.p2p import Message, Payload

_HEADER_SIZE = 24


class PeerMisbehavedError(Exception):
    """The peer broke the protocol; the text says how. It is disconnected."""


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
            PeerMisbehavedError: another network's message, a false checksum, or no message at all.
        """
        self._buffer += data
        if self._buffer[: len(self.magic)] != self.magic[: len(self._buffer)]:
            raise PeerMisbehavedError("message start of another network or transport")
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
                if message.magic != self.magic:
                    raise PeerMisbehavedError("message start of another network")
                taken = stream.tell()
                yield message
        except BTClibException as error:
            raise PeerMisbehavedError(f"not a message: {error}") from error
        finally:
            del self._buffer[:taken]

    def pack(self, payload: Payload) -> bytes:
        """The message that carries this payload. What the node sends has been checked where it was made."""
        return Message(self.magic, payload.command, payload.serialize(check_validity=False)).serialize()

    def pack_raw(self, command: str, payload: bytes) -> bytes:
        """The message with a payload that is serialised already (a stored block)."""
        return Message(self.magic, command, payload).serialize()
