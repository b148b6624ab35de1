"""The opening of a connection: versions are exchanged, features told, then acknowledged. No socket, no clock.

Bitcoin Core's ``src/net_processing.cpp``: VERSION, WTXIDRELAY, SENDADDRV2, VERACK.
"""

from btclib.exceptions import BTClibException
from btclib.p2p import Message, Payload, ServiceFlags, Verack, Version, WtxidRelay

from .wire import PeerEndedError

#: Core's ``MIN_PEER_PROTO_VERSION``: older peers know no ``getheaders``.
MIN_PROTOCOL_VERSION = 31800
_WTXID_RELAY_VERSION = 70016


class Handshake:
    """One side of the opening.

    Args:
        ours: what we announce; its nonce tells a connection to ourselves.
        inbound: whether the peer called us. It then speaks first.
        our_nonces: the nonces of every handshake that is under way here.
    """

    def __init__(self, ours: Version, *, inbound: bool, our_nonces: set[int]) -> None:
        self.ours = ours
        self.inbound = inbound
        self.theirs: Version | None = None
        self.complete = False
        self.wtxid_relay = False
        self._our_nonces = our_nonces

    def start(self) -> list[Payload]:
        """What to send when the connection is up."""
        return [] if self.inbound else [self.ours]

    def receive(self, message: Message) -> list[Payload]:
        """What to answer. A message that belongs to later is ignored until the handshake is complete.

        Raises:
            PeerEndedError: too old, ourselves, or a message that can't be read.
        """
        if message.command == Version.command:
            return self._version(message)
        if self.theirs is None:
            return []
        if message.command == WtxidRelay.command and not self.complete:
            self.wtxid_relay = self.theirs.version >= _WTXID_RELAY_VERSION
        elif message.command == Verack.command:
            self.complete = True
        return []

    def _version(self, message: Message) -> list[Payload]:
        if self.theirs is not None:
            return []  # said twice: Core ignores the second
        try:
            theirs = Version.parse(message.payload)
        except BTClibException as error:
            raise PeerEndedError(f"bad version message: {error}") from error
        if theirs.version < MIN_PROTOCOL_VERSION:
            raise PeerEndedError(f"obsolete protocol version {theirs.version}")
        if self.inbound and theirs.nonce in self._our_nonces:
            raise PeerEndedError("connected to ourselves")
        self.theirs = theirs
        answer: list[Payload] = [self.ours] if self.inbound else []
        if theirs.version >= _WTXID_RELAY_VERSION:
            answer.append(WtxidRelay())
        return [*answer, Verack()]

    @property
    def services(self) -> ServiceFlags:
        """What the peer offers; nothing before its version has come."""
        return self.theirs.services if self.theirs else ServiceFlags.NODE_NONE
