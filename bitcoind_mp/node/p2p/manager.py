"""The node's connections: kept, counted and ended, and what an operator does about them.

Whom we call is ``calling.py``'s, where and whom we let in ``listening.py``'s and ``admission.py``'s, and what the
messages mean ``processing.py``'s.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from btclib.p2p import Message, NetworkAddress, ServiceFlags, Version
from btclib.p2p.limits import PROTOCOL_VERSION

from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.filterindex import BlockFilterIndex
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState, Listener
from bitcoind_mp.node.mempool.entry import MempoolEntry, Removal
from bitcoind_mp.node.mempool.pool import Mempool

from .admission import Admission
from .announcing import ANNOUNCE_INTERVAL
from .bans import BanList, Network
from .calling import Calling
from .connection import Connection
from .endpoint import Endpoint
from .handshake import Handshake
from .listening import listen
from .orphans import Orphan
from .peer import Peer, Role, Traffic
from .permissions import Permissions, Whitelist
from .processing import Processing
from .wire import PeerMisbehavedError, Wire

log = logging.getLogger("bitcoind_mp.net")

#: What we offer in any case: the whole chain, with witnesses.
LOCAL_SERVICES = ServiceFlags.NODE_NETWORK | ServiceFlags.NODE_WITNESS | ServiceFlags.NODE_NETWORK_LIMITED
#: Seconds between looks at what is told to peers from time to time.
_LOOK_INTERVAL = 60.0
#: Seconds between announcements of our transactions that nobody has asked for (Core: 10 to 15 minutes).
_UNBROADCAST_INTERVAL = 12 * 60.0


@dataclass(frozen=True)
class PeersConfig:
    """What the operator decided. ``connect`` and ``add`` are ``host[:port]``; ``bind`` where to listen.

    ``connect`` of None (not given) differs from an empty list (``-noconnect``) only in Core, which would look for
    peers by itself; here both mean that none is called but those in ``add``. Without ``take_transactions``
    (``-blocksonly``) a peer that tells of one breaks the protocol; ours are still announced. ``timeout``:
    seconds that a new peer is given (``-peertimeout``). ``ban_time``: those that a ban lasts (``-bantime``).
    """

    listen: bool = True
    bind: tuple[Endpoint, ...] = ()
    port: int = 0
    connect: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    user_agent: str = ""
    max_inbound: int = 114
    take_transactions: bool = True
    whitelist: Whitelist = field(default_factory=Whitelist)
    timeout: float = 60.0
    ban_time: int = 24 * 60 * 60
    announce_interval: tuple[float, float] = ANNOUNCE_INTERVAL


class Peers(Listener):
    """All connections of the node. Lives in the loop.

    Args:
        chain, mempool: what is kept the same with the peers.
        config: see `PeersConfig`.
        directory: the network's, where bans are kept; None keeps none.
        filters: the index that peers may ask (``-peerblockfilters``).
    """

    def __init__(
        self,
        chain: ChainState,
        mempool: Mempool,
        config: PeersConfig,
        directory: Path | None = None,
        filters: BlockFilterIndex | None = None,
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._config = config
        self._port = config.port or chain.params.default_port
        self.calling = Calling(self, chain.params.default_port)
        self._processing = Processing(
            chain,
            mempool,
            announce_interval=config.announce_interval,
            take_transactions=config.take_transactions,
            filters=filters,
        )
        self.services = LOCAL_SERVICES if filters is None else LOCAL_SERVICES | ServiceFlags.NODE_COMPACT_FILTERS
        """What we offer."""
        self._processing.pings.patience = config.timeout
        self.bans = BanList(directory / "banlist.json" if directory is not None else None, chain.clock, config.ban_time)
        self._peers: dict[int, Peer] = {}
        self._connections: set[Connection] = set()
        self._next_number = 0
        self._nonces: set[int] = set()
        self._servers: list[asyncio.Server] = []
        self._subscriptions: list[object] = []
        self._maintenance: asyncio.Task[None] | None = None
        self._unbroadcast_due = 0.0
        self._closing = False
        self._admission = Admission(self.bans, config.max_inbound)
        self.network_active = True
        self.on_change: Callable[[], None] = lambda: None
        """Called when a peer has shaken hands, or is gone."""
        self.bytes_sent = 0
        self.bytes_received = 0

    # --- life

    async def start(self) -> None:
        """Listen and call.

        Raises:
            FatalError: an address can't be listened on.
            ValueError: a configured peer's name makes no sense.
        """
        if self._config.listen:
            asked = (*self._config.bind, *(each.endpoint for each in self._config.whitelist.places))
            async for server in listen(asked, self._port, lambda: self.connection(Role.INBOUND)):
                self._servers.append(server)
        self.calling.start(self._config.connect, self._config.add)
        self._subscriptions = [self._chain.subscribe(self), self._mempool.subscribe(self)]
        self._maintenance = asyncio.get_running_loop().create_task(self._maintain())

    async def close(self) -> None:
        """Stop listening, end every connection and wait until they are gone."""
        self._closing = True
        for server in self._servers:
            server.close()
        tasks = self.calling.cancel()
        if self._maintenance is not None:
            self._maintenance.cancel()
            tasks.append(self._maintenance)
        for peer in list(self._peers.values()):
            peer.disconnect("shutting down")
        self._processing.close()
        tasks += [connection.task for connection in self._connections if connection.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- connections

    def connection(self, role: Role) -> Connection:
        """A connection that is still to be made, ours or a caller's."""

        def opened(connection: Connection) -> Peer | None:
            return self._opened(connection, role)

        return Connection(Wire(self._chain.params.magic), opened, self._handle, self._lost, self._chain.clock.now)

    def connected_to(self, endpoint: Endpoint) -> bool:
        """Whether one of the connections leads there."""
        return any(peer.endpoint == endpoint for peer in self._peers.values())

    def _opened(self, connection: Connection, role: Role) -> Peer | None:
        if self._closing or not self.network_active:
            return None
        inbound = role is Role.INBOUND
        assert connection.transport is not None
        remote = connection.transport.get_extra_info("peername")
        sockname = connection.transport.get_extra_info("sockname")
        endpoint, local = Endpoint(remote[0], remote[1]), Endpoint(sockname[0], sockname[1])
        permissions = self._config.whitelist.of_peer(endpoint, local, inbound=inbound)
        if inbound and not self._admission.lets_in(endpoint, permissions, self._peers):
            return None
        version = self._version(endpoint, role, permissions)
        handshake = Handshake(version, inbound=inbound, our_nonces=self._nonces)
        self._nonces.add(handshake.ours.nonce)
        peer = Peer(
            self._next_number,
            endpoint,
            connection,
            handshake,
            role=role,
            traffic=Traffic(self._chain.clock.now()),
            permissions=permissions,
        )
        peer.local = local
        self._next_number += 1
        self._peers[peer.number] = peer
        self._connections.add(connection)
        self._processing.add(peer)
        self._processing.pings.wait()
        return peer

    async def _handle(self, peer: Peer, message: Message) -> None:
        was_ready = peer.ready
        try:
            await self._processing.handle(peer, message)
        except PeerMisbehavedError:
            if peer.endpoint.address is not None and not peer.endpoint.address.is_loopback:
                self.bans.discourage(peer.endpoint.address)
            raise
        if peer.ready and not was_ready:
            self.on_change()

    def _version(self, remote: Endpoint, role: Role, permissions: Permissions) -> Version:
        takes = self._config.take_transactions or Permissions.RELAY in permissions
        return Version(
            PROTOCOL_VERSION,
            self.services,
            self._chain.clock.now(),
            _routable(remote),
            NetworkAddress(self.services),
            secrets.randbits(64) | 1,
            self._config.user_agent.encode(),
            self._chain.height,
            takes and role not in (Role.BLOCK_RELAY, Role.FEELER),
        )

    def _lost(self, peer: Peer, reason: str) -> None:
        if peer.ready or not peer.inbound:
            log.info("disconnecting %s (%s): %s", peer, peer.endpoint, reason)
        else:
            log.debug("disconnecting %s (%s) before its handshake: %s", peer, peer.endpoint, reason)
        self._peers.pop(peer.number, None)
        self._connections = {connection for connection in self._connections if connection.peer is not peer}
        self._nonces.discard(peer.handshake.ours.nonce)
        self.bytes_sent += peer.traffic.bytes_sent
        self.bytes_received += peer.traffic.bytes_received
        self._processing.remove(peer)
        self.on_change()

    async def _maintain(self) -> None:
        """Tell again what nobody has asked for, and what fee we want where that has changed."""
        self._unbroadcast_due = time.monotonic() + _UNBROADCAST_INTERVAL
        while True:
            await asyncio.sleep(_LOOK_INTERVAL)
            self._processing.tell_fees()
            self._look_at_unbroadcast()

    def _look_at_unbroadcast(self) -> None:
        if time.monotonic() >= self._unbroadcast_due:
            self._unbroadcast_due = time.monotonic() + _UNBROADCAST_INTERVAL
            self._processing.announcing.announce_again(self._mempool.unbroadcast)

    # --- what the chain and the mempool tell

    def block_connected(self, node: BlockNode, contents: BlockContents) -> None:
        self._processing.block_connected(node, contents)

    def block_disconnected(self, node: BlockNode, contents: BlockContents) -> None:
        self._processing.block_disconnected()

    def tip_changed(self, node: BlockNode) -> None:
        self._processing.tip_changed(node)

    def added(self, entry: MempoolEntry) -> None:
        """`MempoolListener`."""
        self._processing.announcing.added(entry)

    def returned(self, entry: MempoolEntry) -> None:
        """`MempoolListener`: they aren't told (``MaybeUpdateMempoolForReorg``)."""

    def removed(self, entry: MempoolEntry, reason: Removal) -> None:
        """`MempoolListener`: what isn't there any more is passed over when its announcement is due."""

    # --- what an operator asks

    @property
    def peers(self) -> list[Peer]:
        """The connections, oldest first."""
        return list(self._peers.values())

    @property
    def user_agent(self) -> str:
        """What we call ourselves to peers."""
        return self._config.user_agent

    @property
    def takes_transactions(self) -> bool:
        """Whether peers may tell us of transactions."""
        return self._config.take_transactions

    def blocks_in_flight(self, peer: Peer) -> list[int]:
        """The heights of the blocks that it was asked for."""
        return [node.height for node in self._processing.blocks.in_flight(peer)]

    def fetch_block(self, number: int, node: BlockNode) -> str:
        """Ask that peer for the block; why it can't be, empty where it was (``FetchBlock``)."""
        peer = self._peers.get(number)
        if peer is None:
            return "Peer does not exist"
        if not peer.serves_witnesses:
            return "Pre-SegWit peer"
        if not peer.ready:
            return "Peer not fully connected"
        self._processing.blocks.fetch(peer, node)
        return ""

    @property
    def total_sent(self) -> int:
        """Bytes, those of ended connections included."""
        return self.bytes_sent + sum(peer.traffic.bytes_sent for peer in self._peers.values())

    @property
    def total_received(self) -> int:
        return self.bytes_received + sum(peer.traffic.bytes_received for peer in self._peers.values())

    def ping_all(self) -> None:
        """Measure every round trip (``ping``)."""
        for peer in self._peers.values():
            self._processing.pings.ask(peer)

    def forward(self, seconds: float) -> None:
        """Do now what would be done within so many seconds (``mockscheduler``)."""
        self._unbroadcast_due -= seconds
        self._look_at_unbroadcast()

    @property
    def orphans(self) -> list[Orphan]:
        """Transactions that wait for their parents."""
        return self._processing.transactions.orphans

    def disconnect(self, *, number: int | None = None, address: str | None = None) -> bool:
        """End one connection, by its number or by ``host:port``; whether there was one."""
        for peer in list(self._peers.values()):
            if peer.number == number or (address is not None and str(peer.endpoint) == address):
                peer.disconnect("disconnected by request")
                return True
        return False

    def ban(self, network: Network, seconds: int, *, absolute: bool) -> None:
        """Have no peer of that network for so long, and end the connections to those that there are.

        Raises:
            OSError: it couldn't be written down, and holds until the process ends.
        """
        try:
            self.bans.add(network, seconds, absolute=absolute)
        finally:
            for peer in list(self._peers.values()):
                if peer.endpoint.address is not None and peer.endpoint.address in network:
                    peer.disconnect("banned")

    def set_network_active(self, active: bool) -> None:
        """``setnetworkactive``: without it nobody is called, answered or kept."""
        self.network_active = active
        if not active:
            for peer in list(self._peers.values()):
                peer.disconnect("networking is off")


def _routable(remote: Endpoint) -> NetworkAddress:
    """How a peer is told where we see it; nothing of an address that means nothing elsewhere."""
    if remote.address is None or not remote.address.is_global:
        return NetworkAddress()
    return NetworkAddress(0, str(remote.address), remote.port)
