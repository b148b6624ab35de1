"""Commands about peers (``src/rpc/net.cpp``)."""

import time
from typing import Any

from btclib.p2p.limits import PROTOCOL_VERSION

from bitcoind_mp import __version__
from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import command, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.p2p.calling import NodeAlreadyAddedError, NodeNotAddedError
from bitcoind_mp.node.p2p.manager import Peers
from bitcoind_mp.node.p2p.peer import Peer
from bitcoind_mp.render.json_values import expect

from .peer_json import peer_json, service_names

_DAY = 24 * 60 * 60


class NetworkCommands:
    """What the peers' manager knows and does, in Core's shapes."""

    def __init__(self, chain: ChainState, mempool: Mempool, peers: Peers) -> None:
        self._chain = chain
        self._mempool = mempool
        self._peers = peers

    @command("network")
    def getconnectioncount(self) -> int:
        """Returns the number of connections to other nodes.

        Returns:
            The connection count
        """
        return len(self._peers.peers)

    @command("network", changes=True)
    def ping(self) -> None:
        """Requests that a ping be sent to all other nodes, to measure ping time. The results are in getpeerinfo's
        pingtime and pingwait.

        Returns:
            null
        """
        self._peers.ping_all()

    @command("network")
    def getnettotals(self) -> dict[str, Any]:
        """Tells the network traffic so far.

        Returns:
            The bytes received and sent, the time in milliseconds, and the upload limit, of which there is none
        """
        return {
            "totalbytesrecv": self._peers.total_received,
            "totalbytessent": self._peers.total_sent,
            "timemillis": time.time_ns() // 1_000_000,
            "uploadtarget": {
                "timeframe": _DAY,
                "target": 0,
                "target_reached": False,
                "serve_historical_blocks": True,
                "bytes_left_in_cycle": 0,
                "time_left_in_cycle": 0,
            },
        }

    @command("network")
    def getnetworkinfo(self) -> dict[str, Any]:
        """Tells the state of the node's P2P networking.

        Returns:
            Versions, services, connections, networks, fee rates in BTC/kvB, own addresses, and warnings
        """
        peers, policy = self._peers.peers, self._mempool.policy
        incoming = sum(peer.inbound for peer in peers)
        return {
            "version": _version_number(__version__),
            "subversion": self._peers.user_agent,
            "protocolversion": PROTOCOL_VERSION,
            "localservices": f"{int(self._peers.services):016x}",
            "localservicesnames": service_names(self._peers.services),
            "localrelay": self._peers.takes_transactions,
            "timeoffset": _median([peer.time_offset for peer in peers if peer.ready and not peer.inbound]),
            "networkactive": self._peers.network_active,
            "connections": len(peers),
            "connections_in": incoming,
            "connections_out": len(peers) - incoming,
            "networks": [_network(name) for name in ("ipv4", "ipv6", "onion", "i2p", "cjdns")],
            "relayfee": btc(policy.min_relay_fee),
            "incrementalfee": btc(policy.incremental_relay_fee),
            "localaddresses": [],
            "warnings": self._chain.warnings,
        }

    @command("network")
    def getpeerinfo(self) -> list[dict[str, Any]]:
        """Tells about each connected peer.

        Returns:
            For each its address, services, traffic, times, version, what it has and what it was asked for
        """
        now = self._chain.clock.exact()
        return [
            peer_json(peer, now, self._common_height(peer), self._peers.blocks_in_flight(peer))
            for peer in self._peers.peers
        ]

    def _common_height(self, peer: Peer) -> int:
        """The height up to which the peer's best chain is ours; -1 where that isn't known."""
        best = peer.best_known
        return -1 if best is None else self._chain.headers.fork_from_active(best).height

    @command("network", changes=True)
    def addnode(self, node: str, command: str, v2transport: bool | None = None) -> None:
        """Adds or removes a peer that is called whenever it isn't connected, or calls one once.

        Args:
            node: The peer's address, with its port where that isn't the usual
            command: add, remove or onetry
            v2transport: Whether to speak BIP324's protocol, which this node doesn't

        Returns:
            null
        """
        if command not in ("onetry", "add", "remove"):
            raise RpcError(
                RpcCode.MISC_ERROR, 'addnode "node" "command" ( v2transport )\n\nThe command is add, remove or onetry.'
            )
        if v2transport:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Error: v2transport requested but not enabled (see -v2transport)")
        try:
            calling = self._peers.calling
            {"onetry": calling.try_node, "add": calling.add_node, "remove": calling.remove_node}[command](node)
        except NodeAlreadyAddedError:
            raise RpcError(RpcCode.CLIENT_NODE_ALREADY_ADDED, "Error: Node already added") from None
        except NodeNotAddedError:
            raise RpcError(
                RpcCode.CLIENT_NODE_NOT_ADDED,
                "Error: Node could not be removed. It has not been added previously.",
            ) from None
        except ValueError as error:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Error: Bad address: {error}") from None

    @command("network")
    def getaddednodeinfo(self, node: str | None = None) -> list[dict[str, Any]]:
        """Tells about the peers that addnode added.

        Args:
            node: The one to tell about; all if not given

        Returns:
            For each whether it is connected, and where
        """
        targets = self._peers.calling.added_nodes
        if node is not None:
            if node not in targets:
                raise RpcError(RpcCode.CLIENT_NODE_NOT_ADDED, "Error: Node has not been added.")
            targets = {node: targets[node]}
        connected = {str(peer.endpoint): peer for peer in self._peers.peers}
        listed = []
        for text, target in targets.items():
            peer = connected.get(str(target.endpoint))
            addresses = []
            if peer is not None:
                direction = "inbound" if peer.inbound else "outbound"
                addresses.append({"address": str(target.endpoint), "connected": direction})
            listed.append({"addednode": text, "connected": peer is not None, "addresses": addresses})
        return listed

    @command("network", changes=True)
    def disconnectnode(self, address: str | None = None, nodeid: int | None = None) -> None:
        """Ends the connection to a peer. One of the two must be given.

        Args:
            address: The peer's address and port
            nodeid: The peer's number (see getpeerinfo)

        Returns:
            null
        """
        if address is not None and nodeid is None:
            found = self._peers.disconnect(address=address)
        elif nodeid is not None and not address:
            found = self._peers.disconnect(number=nodeid)
        else:
            raise RpcError(RpcCode.INVALID_PARAMS, "Only one of address and nodeid should be provided.")
        if not found:
            raise RpcError(RpcCode.CLIENT_NODE_NOT_CONNECTED, "Node not found in connected nodes")

    @command("blockchain", changes=True)
    def getblockfrompeer(self, blockhash: str, peer_id: int) -> dict[str, Any]:
        """Attempts to fetch a block from a given peer. Its header must be known (e.g. by submitheader); whether it came
        is for getblock to say.

        Args:
            blockhash: The block hash to try to fetch
            peer_id: The peer to fetch it from (see getpeerinfo for peer IDs)

        Returns:
            An empty object
        """
        node = self._chain.by_hash(parse_hash(blockhash, "blockhash"))
        if node is None:
            raise RpcError(RpcCode.MISC_ERROR, "Block header missing")
        if node.has_data:
            raise RpcError(RpcCode.MISC_ERROR, "Block already downloaded")
        if problem := self._peers.fetch_block(peer_id, node):
            raise RpcError(RpcCode.MISC_ERROR, problem)
        return {}

    @command("network", changes=True)
    def setnetworkactive(self, state: bool) -> bool:
        """Disables or enables all P2P network activity.

        Args:
            state: true to enable networking, false to disable it

        Returns:
            The value that was passed in
        """
        self._peers.set_network_active(expect(state, "bool"))
        return self._peers.network_active


def _network(name: str) -> dict[str, Any]:
    reachable = name in ("ipv4", "ipv6")
    return {
        "name": name,
        "limited": not reachable,
        "reachable": reachable,
        "proxy": "",
        "proxy_randomize_credentials": False,
    }


def _median(offsets: list[int]) -> int:
    return sorted(offsets)[len(offsets) // 2] if offsets else 0


def _version_number(version: str) -> int:
    """As Core numbers its versions: 31.1.0 is 310100."""
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    return major * 10000 + minor * 100 + patch
