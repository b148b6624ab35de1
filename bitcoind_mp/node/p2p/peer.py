"""One peer: what it said, what we know of it, and what passed between us. Its socket is in ``connection.py``."""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

from btclib.p2p import Payload, ServiceFlags
from btclib.p2p.headers_sync import HeadersSyncState

from bitcoind_mp.node.chain.header import BlockNode

from .endpoint import Endpoint
from .handshake import Handshake

#: What user agents begin with (BIP14).
PROGRAM = "bitcoind-mp"
#: What every message is counted as whose command the protocol doesn't know (``NET_MESSAGE_TYPE_OTHER``, ``src/net.h``):
#: peers choose commands, and are not to fill the memory with them.
OTHER = "*other*"
#: ``ALL_NET_MESSAGE_TYPES`` (``src/protocol.h``).
_COMMANDS = (
    "version verack addr addrv2 sendaddrv2 inv getdata merkleblock getblocks getheaders tx headers block getaddr "
    "mempool ping pong notfound filterload filteradd filterclear sendheaders feefilter sendcmpct cmpctblock "
    "getblocktxn blocktxn getcfilters cfilter getcfheaders cfheaders getcfcheckpt cfcheckpt wtxidrelay sendtxrcncl"
)
COMMANDS = frozenset(_COMMANDS.split())
#: How many transaction hashes we remember a peer to know (Core's ``m_tx_inventory_known_filter`` holds 50,000).
KNOWN_TRANSACTIONS = 50_000


class Link(Protocol):
    """The socket, as a peer sees it."""

    @property
    def is_behind(self) -> bool:
        """Whether something that the peer sent waits to be processed, or is being so."""

    def send(self, payload: Payload) -> None:
        """Write one message; dropped where the connection is gone."""

    def send_raw(self, command: str, payload: bytes) -> None:
        """Write one message whose payload is serialised already."""

    async def drained(self) -> bool:
        """Wait while much is to be written; False where the connection is gone."""

    def close(self, reason: str) -> None:
        """End the connection; the reason goes to the log."""


@dataclass
class Traffic:
    """Bytes and times of a connection; times in seconds since 1970 by the system's clock."""

    connected: int
    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    last_send: int = 0
    last_receive: int = 0
    last_block: int = 0
    last_transaction: int = 0

    def count_received(self, command: str, size: int) -> None:
        """A message came."""
        self.received[command if command in COMMANDS else OTHER] += size

    @property
    def bytes_sent(self) -> int:
        return self.sent.total()

    @property
    def bytes_received(self) -> int:
        return self.received.total()


@dataclass
class PingState:
    """Round trips, in seconds; ``nonce`` is that of the ping that is under way, 0 for none."""

    nonce: int = 0
    sent: float = 0.0
    last: float | None = None
    best: float | None = None


class RecentHashes:
    """A set that forgets its oldest members past a bound."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._hashes: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, hash: bytes) -> bool:
        return hash in self._hashes

    def add(self, hash: bytes) -> None:
        self._hashes[hash] = None
        self._hashes.move_to_end(hash)
        if len(self._hashes) > self._bound:
            self._hashes.popitem(last=False)

    def clear(self) -> None:
        self._hashes.clear()


class Peer:
    """A connected peer.

    ``best_known`` is the block with the most work that it is known to have, ``best_sent`` the newest header that we
    sent it. ``headers_sync`` is under way while its chain hasn't shown enough work. ``fee_filter`` in sat/kvB: it wants
    no transactions below. ``manual``: the operator named it.
    """

    def __init__(
        self, number: int, endpoint: Endpoint, link: Link, handshake: Handshake, *, manual: bool, traffic: Traffic
    ) -> None:
        self.number = number
        self.endpoint = endpoint
        self.local: Endpoint | None = None
        self.link = link
        self.handshake = handshake
        self.manual = manual
        self.traffic = traffic
        self.ping = PingState()
        self.best_known: BlockNode | None = None
        self.best_sent: BlockNode | None = None
        self.announced_unknown: bytes | None = None
        self.prefers_headers = False
        self.fee_filter = 0
        self.known_transactions = RecentHashes(KNOWN_TRANSACTIONS)
        self.to_announce: dict[bytes, bytes] = {}
        self.unconnecting_headers = 0
        self.headers_sync: HeadersSyncState | None = None
        self.time_offset = 0

    @property
    def inbound(self) -> bool:
        return self.handshake.inbound

    @property
    def ready(self) -> bool:
        """Whether the handshake is complete."""
        return self.handshake.complete

    @property
    def services(self) -> ServiceFlags:
        return self.handshake.services

    @property
    def serves_blocks(self) -> bool:
        """Whether blocks with witnesses can be asked of it."""
        return ServiceFlags.NODE_NETWORK in self.services and ServiceFlags.NODE_WITNESS in self.services

    @property
    def wants_transactions(self) -> bool:
        """BIP37's relay flag."""
        return self.ready and self.handshake.theirs is not None and self.handshake.theirs.is_relay_requested

    @property
    def is_of_our_kind(self) -> bool:
        """Whether it says that it runs this program."""
        theirs = self.handshake.theirs
        return theirs is not None and theirs.user_agent.startswith(f"/{PROGRAM}:".encode())

    def knows(self, node: BlockNode) -> bool:
        """Whether the peer has that block's header: it or we sent it or a descendant."""
        return any(
            best is not None and best.height >= node.height and _ancestor(best, node.height) is node
            for best in (self.best_known, self.best_sent)
        )

    def learned(self, node: BlockNode) -> None:
        """It has this block."""
        if self.best_known is None or node.chain_work > self.best_known.chain_work:
            self.best_known = node

    def send(self, *payloads: Payload) -> None:
        for payload in payloads:
            self.link.send(payload)

    def disconnect(self, reason: str) -> None:
        self.link.close(reason)

    def __str__(self) -> str:
        return f"peer={self.number}"


def _ancestor(node: BlockNode, height: int) -> BlockNode | None:
    """Near the tip, where this is asked, walking is a few steps."""
    here: BlockNode | None = node
    while here is not None and here.height > height:
        here = here.previous
    return here
