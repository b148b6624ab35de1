"""A node's side of P2P without sockets: peers that have shaken hands, and what they were sent."""

from typing import Any

from btclib.p2p import NotFound, Payload, ServiceFlags, Verack, Version, WtxidRelay

from bitcoind_mp.node.p2p.endpoint import Endpoint
from bitcoind_mp.node.p2p.handshake import Handshake
from bitcoind_mp.node.p2p.peer import Peer, Role, Traffic
from bitcoind_mp.node.p2p.permissions import Permissions
from bitcoind_mp.node.p2p.processing import Processing

MAGIC = bytes.fromhex("fabfb5da")


class Wire:
    """The peer's end of the connection: what it was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.payloads: list[Payload] = []
        self.closed = ""
        self.room = 1000
        self.is_behind = False

    def send(self, *payloads: Payload) -> None:
        self.payloads += payloads
        self.sent += [payload.command for payload in payloads]

    def send_raw(self, command: str, payload: bytes) -> None:
        self.sent.append(command)
        self.room -= 1
        if command == "notfound":
            self.payloads.append(NotFound.parse(payload))

    async def drained(self) -> bool:
        return self.room > 0

    def close(self, reason: str) -> None:
        self.closed = reason

    def last(self, command: str) -> Any:
        """The newest message of that name."""
        return next(payload for payload in reversed(self.payloads) if payload.command == command)

    def hashes(self, command: str) -> list[bytes]:
        """What all messages of that name were about, in order."""
        return [item.hash for payload in self.payloads if payload.command == command for item in payload.items]


class Network:
    """One node, and any number of peers that have shaken hands with it."""

    def __init__(
        self,
        chain: Any,
        mempool: Any,
        *,
        take_transactions: bool = True,
        announce_interval: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.processing = Processing(
            chain, mempool, announce_interval=announce_interval, take_transactions=take_transactions
        )
        self.count = 0

    async def meet(
        self,
        *,
        role: Role = Role.INBOUND,
        version: int = 70016,
        services: int = 0,
        user_agent: bytes = b"/Satoshi:31.0.0/",
        relay: bool = True,
        wtxid_relay: bool = True,
        permissions: Permissions = Permissions.NONE,
    ) -> tuple[Peer, Wire]:
        """A new peer."""
        self.count += 1
        wire: Any = Wire()
        handshake = Handshake(Version(70016, nonce=1), inbound=role is Role.INBOUND, our_nonces=set())
        endpoint = Endpoint("127.0.0.1", 5 + self.count)
        peer = Peer(self.count, endpoint, wire, handshake, role=role, traffic=Traffic(0), permissions=permissions)
        self.processing.add(peer)
        theirs = Version(
            version,
            services=ServiceFlags(services),
            nonce=2,
            user_agent=user_agent,
            start_height=0,
            relay=relay,
        )
        for payload in (theirs, *([WtxidRelay()] if wtxid_relay else []), Verack()):
            await self.tell(peer, payload)
        assert peer.ready
        return peer, wire

    async def tell(self, peer: Peer, payload: Payload) -> None:
        """The peer sends that."""
        await self.processing.handle(peer, payload.to_message(MAGIC))
