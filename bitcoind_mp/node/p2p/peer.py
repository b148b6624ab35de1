"""One peer: what it said, what we know of it, and what passed between us. Its socket is in ``connection.py``."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from btclib.p2p import Payload, ServiceFlags
from btclib.p2p.headers_sync import HeadersSyncState

from bitcoind_mp.node.chain.header import BlockNode

from .endpoint import Endpoint
from .handshake import Handshake
from .permissions import Permissions
from .recent import RecentHashes

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
    """Bytes and times of a connection; times in seconds since 1970 by the node's clock."""

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
    """Round trips, in seconds; ``nonce`` is that of the ping that is under way, 0 for none, ``sent`` when the last
    one was, by the node's clock; ``asked``: somebody wants one."""

    nonce: int = 0
    sent: float = 0.0
    asked: bool = False
    last: float | None = None
    best: float | None = None


class Role(StrEnum):
    """What a connection is for: ``getpeerinfo``'s ``connection_type``. All but the first two are a test's
    (``addconnection``): this node calls nobody but whom it was told to."""

    INBOUND = "inbound"
    MANUAL = "manual"
    FULL_RELAY = "outbound-full-relay"
    BLOCK_RELAY = "block-relay-only"
    ADDR_FETCH = "addr-fetch"
    FEELER = "feeler"


@dataclass
class TxRelay:
    """The transactions that a peer is told of, and what it asked to be spared.

    ``wanted``: it asked for announcements (BIP37's flag). ``known``: what it told us or was told. ``to_announce`` maps
    the txid of what it is to be told to the hash that it is told by. ``next_time`` is when it is next told, by the
    node's clock, and ``last_sequence`` the mempool's number when it last was: what came later it may not ask for.
    Fees in sat/kvB: it wants none below ``fee_filter``; it was told ``fee_filter_sent``.
    """

    wanted: bool
    known: RecentHashes = field(default_factory=lambda: RecentHashes(KNOWN_TRANSACTIONS))
    to_announce: dict[bytes, bytes] = field(default_factory=dict)
    next_time: float = 0.0
    last_sequence: int = 1
    fee_filter: int = 0
    fee_filter_sent: int = 0
    next_fee_filter: float = 0.0


@dataclass
class HeaderSync:
    """How far a peer's headers have been asked for. Times by the node's clock; ``asked`` 0 where no answer is awaited.
    ``low_work``: a chain of too little work so far, which is read without being kept."""

    started: bool = False
    deadline: float | None = None
    asked: float = 0.0
    by_inv: bool = False
    low_work: HeadersSyncState | None = None


class Peer:
    """A connected peer.

    ``best_known`` is the block with the most work that it is known to have, ``best_sent`` the newest header that we
    sent it, ``last_common`` the newest block of its chain that we have, ``last_unknown`` the hash of a block that it
    says to have and we know nothing of. ``continuation``: when it asks for that block, it is told of our tip.
    """

    def __init__(
        self,
        number: int,
        endpoint: Endpoint,
        link: Link,
        handshake: Handshake,
        *,
        role: Role,
        traffic: Traffic,
        permissions: Permissions = Permissions.NONE,
    ) -> None:
        self.number = number
        self.endpoint = endpoint
        self.local: Endpoint | None = None
        self.link = link
        self.handshake = handshake
        self.role = role
        self.permissions = permissions
        self.traffic = traffic
        self.ping = PingState()
        self.headers = HeaderSync()
        self.tx_relay: TxRelay | None = None
        self.best_known: BlockNode | None = None
        self.best_sent: BlockNode | None = None
        self.last_common: BlockNode | None = None
        self.last_unknown: bytes | None = None
        self.continuation: bytes | None = None
        self.prefers_headers = False
        self.sent_sendheaders = False
        self.stalling_since: float | None = None
        self.downloading_since = 0.0
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
        """Whether blocks can be asked of it, be it only the newest."""
        return bool(self.services & (ServiceFlags.NODE_NETWORK | ServiceFlags.NODE_NETWORK_LIMITED))

    @property
    def serves_witnesses(self) -> bool:
        return ServiceFlags.NODE_WITNESS in self.services

    @property
    def serves_newest_only(self) -> bool:
        """Whether it has but the newest blocks (BIP159)."""
        return self.serves_blocks and ServiceFlags.NODE_NETWORK not in self.services

    @property
    def preferred(self) -> bool:
        """Whether it is asked before others: we called it, or trust it (``fPreferredDownload``)."""
        trusted = not self.inbound or self.may(Permissions.NO_BAN)
        return trusted and self.role is not Role.ADDR_FETCH and self.serves_blocks

    @property
    def spared(self) -> bool:
        """Whether misbehaving has no consequences for it."""
        return self.role is Role.MANUAL or self.may(Permissions.NO_BAN)

    def may(self, permission: Permissions) -> bool:
        """Whether the operator gave it that permission."""
        return permission in self.permissions

    @property
    def wants_transactions(self) -> bool:
        """Whether it asked to be told of transactions (BIP37's relay flag)."""
        return self.tx_relay is not None and self.tx_relay.wanted

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
