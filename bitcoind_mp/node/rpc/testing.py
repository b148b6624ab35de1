"""Commands that Core hides from help because they are for tests alone (``src/rpc/node.cpp``, ``src/rpc/net.cpp``)."""

from typing import Any

from bitcoind_mp.interfaces.command import command, parse_hex
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.p2p.manager import Peers
from bitcoind_mp.node.p2p.orphans import Orphan
from bitcoind_mp.node.p2p.peer import Role

from .rawtransactions import parse_verbosity

#: What a test may have this node open, and how many of each at a time (0: as many as it likes).
_OPENED = {Role.FULL_RELAY: 8, Role.BLOCK_RELAY: 2, Role.ADDR_FETCH: 0, Role.FEELER: 0}
#: A message's name is at most so long (BIP14's header).
_NAME = 12
_LONGEST_FORWARD = 3600


class TestingCommands:
    """``mockable`` says whether the chain is one to play with."""

    __test__ = False

    def __init__(self, peers: Peers, *, mockable: bool) -> None:
        self._peers = peers
        self._mockable = mockable

    @command("hidden", hidden=True)
    def syncwithvalidationinterfacequeue(self) -> None:
        """Waits until everybody in the node knows of every block and transaction, as they do as soon as one is there.

        Returns:
            null
        """

    @command("hidden", changes=True, hidden=True)
    def mockscheduler(self, delta_time: int) -> None:
        """Does now what is done from time to time and would be within so many seconds, on regtest alone.

        Args:
            delta_time: Number of seconds, up to an hour

        Returns:
            null
        """
        if not self._mockable:
            raise RpcError(RpcCode.MISC_ERROR, "mockscheduler is for regression testing (-regtest mode) only")
        if not 0 < delta_time <= _LONGEST_FORWARD:
            raise RpcError(RpcCode.MISC_ERROR, "delta_time must be between 1 and 3600 seconds (1 hr)")
        self._peers.forward(delta_time)

    @command("hidden", hidden=True)
    def getorphantxs(self, verbosity: Any = 0) -> list[Any]:
        """Tells about the transactions whose parents haven't come yet.

        Args:
            verbosity (numeric): 0 for their txids, 1 for an object each, 2 for that with the transaction in hex

        Returns:
            For each its txid; or its ids, sizes in bytes, vB and weight, and the peers that it is from
        """
        level = parse_verbosity(verbosity, 0, allow_bool=False)
        if level not in (0, 1, 2):
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid verbosity value {level}")
        orphans = self._peers.orphans
        if not level:
            return [orphan.txid.hex() for orphan in orphans]
        return [_orphan_json(orphan, with_hex=level == 2) for orphan in orphans]

    @command("hidden", changes=True, hidden=True)
    def addconnection(self, address: str, connection_type: str, v2transport: bool) -> dict[str, str]:
        """Opens a connection of a kind that this node opens none of by itself, on regtest alone.

        Args:
            address: The IP address and port
            connection_type: outbound-full-relay, block-relay-only, addr-fetch or feeler
            v2transport: Whether to speak BIP324's protocol, which this node doesn't

        Returns:
            The address, and the type
        """
        if not self._mockable:
            raise RpcError(RpcCode.MISC_ERROR, "addconnection is for regression testing (-regtest mode) only.")
        kind = connection_type.strip()
        if kind not in _OPENED:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                'addconnection "address" "connection_type" v2transport\n\nThe type is outbound-full-relay, '
                "block-relay-only, addr-fetch or feeler.",
            )
        if v2transport:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                "Error: Adding v2transport connections requires -v2transport init flag to be set.",
            )
        role = Role(kind)
        if _OPENED[role] and sum(peer.role is role for peer in self._peers.peers) >= _OPENED[role]:
            raise RpcError(
                RpcCode.CLIENT_NODE_CAPACITY_REACHED, "Error: Already at capacity for specified connection type."
            )
        try:
            self._peers.calling.try_node(address, role)
        except ValueError as error:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Error: Bad address: {error}") from None
        return {"address": address, "connection_type": kind}

    @command("hidden", changes=True, hidden=True)
    def sendmsgtopeer(self, peer_id: int, msg_type: str, msg: str) -> dict[str, Any]:
        """Sends a message to a peer as it is.

        Args:
            peer_id: The peer's number
            msg_type: The message's name, at most 12 characters
            msg: What follows the message's header, in hex

        Returns:
            An empty object
        """
        if len(msg_type.encode()) > _NAME:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Error: msg_type too long, max length is {_NAME}")
        try:
            payload = parse_hex(msg, "msg")
        except RpcError:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Error parsing input for msg") from None
        peer = next((peer for peer in self._peers.peers if peer.number == peer_id), None)
        if peer is None:
            raise RpcError(RpcCode.MISC_ERROR, "Error: Could not send message to peer")
        peer.link.send_raw(msg_type, payload)
        return {}

    @command("hidden", hidden=True)
    def echo(
        self,
        arg0: Any = None,
        arg1: Any = None,
        arg2: Any = None,
        arg3: Any = None,
        arg4: Any = None,
        arg5: Any = None,
        arg6: Any = None,
        arg7: Any = None,
        arg8: Any = None,
        arg9: Any = None,
    ) -> list[Any]:
        """Gives back what it was given.

        Args:
            arg0: Anything
            arg1: Anything
            arg2: Anything
            arg3: Anything
            arg4: Anything
            arg5: Anything
            arg6: Anything
            arg7: Anything
            arg8: Anything
            arg9: Anything

        Returns:
            The arguments, up to the last that isn't null
        """
        given = [arg0, arg1, arg2, arg3, arg4, arg5, arg6, arg7, arg8, arg9]
        while given and given[-1] is None:
            given.pop()
        return given

    @command("hidden", hidden=True)
    def echojson(
        self,
        arg0: Any = None,
        arg1: Any = None,
        arg2: Any = None,
        arg3: Any = None,
        arg4: Any = None,
        arg5: Any = None,
        arg6: Any = None,
        arg7: Any = None,
        arg8: Any = None,
        arg9: Any = None,
    ) -> list[Any]:
        """Gives back what it was given; bitcoin-cli reads its arguments as JSON.

        Args:
            arg0: Anything
            arg1: Anything
            arg2: Anything
            arg3: Anything
            arg4: Anything
            arg5: Anything
            arg6: Anything
            arg7: Anything
            arg8: Anything
            arg9: Anything

        Returns:
            The arguments, up to the last that isn't null
        """
        return self.echo(arg0, arg1, arg2, arg3, arg4, arg5, arg6, arg7, arg8, arg9)


def _orphan_json(orphan: Orphan, *, with_hex: bool) -> dict[str, Any]:
    raw = orphan.tx.serialize(True, check_validity=False)
    told = {
        "txid": orphan.txid.hex(),
        "wtxid": orphan.wtxid.hex(),
        "bytes": len(raw),
        "vsize": -(-orphan.weight // 4),
        "weight": orphan.weight,
        "from": sorted(orphan.announcers),
    }
    return told | {"hex": raw.hex()} if with_hex else told
