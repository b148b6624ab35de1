"""A peer as `getpeerinfo` shows it (``src/rpc/net.cpp``)."""

from typing import Any

from btclib.p2p import ServiceFlags

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.node.p2p.endpoint import Endpoint
from bitcoind_mp.node.p2p.peer import Peer
from bitcoind_mp.render.json_values import real


def peer_json(peer: Peer, now: float, common_height: int, in_flight: list[int]) -> dict[str, Any]:
    """One peer in `getpeerinfo`. ``now`` is the node's clock's; ``common_height`` where its chain and ours part;
    ``in_flight`` the heights of the blocks that it was asked for."""
    traffic, ping, theirs = peer.traffic, peer.ping, peer.handshake.theirs
    info: dict[str, Any] = {"id": peer.number, "addr": str(peer.endpoint)}
    if peer.local is not None:
        info["addrbind"] = str(peer.local)
    if own := _own_address(peer):
        info["addrlocal"] = own
    relay = peer.tx_relay
    info |= {
        "network": peer.endpoint.network,
        "services": f"{int(peer.services):016x}",
        "servicesnames": service_names(peer.services),
        "relaytxes": peer.wants_transactions,
        "last_inv_sequence": relay.last_sequence if relay is not None else 0,
        "inv_to_send": len(relay.to_announce) if relay is not None else 0,
        "lastsend": traffic.last_send,
        "lastrecv": traffic.last_receive,
        "last_transaction": traffic.last_transaction,
        "last_block": traffic.last_block,
        "bytessent": traffic.bytes_sent,
        "bytesrecv": traffic.bytes_received,
        "conntime": traffic.connected,
        "timeoffset": peer.time_offset,
    }
    if ping.last is not None:
        info["pingtime"] = _seconds(ping.last)
    if ping.best is not None:
        info["minping"] = _seconds(ping.best)
    if ping.nonce:
        info["pingwait"] = _seconds(now - ping.sent)
    best = peer.best_known
    return info | {
        "version": 0 if theirs is None else theirs.version,
        "subver": "" if theirs is None else _printable(theirs.user_agent),
        "inbound": peer.inbound,
        "bip152_hb_to": False,
        "bip152_hb_from": False,
        "presynced_headers": -1 if peer.headers.low_work is None else peer.headers.low_work.presync_height,
        "synced_headers": -1 if best is None else best.height,
        "synced_blocks": common_height,
        "inflight": in_flight,
        "addr_relay_enabled": False,
        "addr_processed": 0,
        "addr_rate_limited": 0,
        "permissions": peer.permissions.names,
        "minfeefilter": btc(relay.fee_filter if relay is not None else 0),
        "bytessent_per_msg": dict(sorted(traffic.sent.items())),
        "bytesrecv_per_msg": dict(sorted(traffic.received.items())),
        "connection_type": str(peer.role),
        "transport_protocol_type": "v1",
        "session_id": "",
    }


def service_names(services: ServiceFlags) -> list[str]:
    """The names of the known service bits (``serviceFlagsToStr``), ``UNKNOWN[2^n]`` for others."""
    names = []
    for bit in range(64):
        if int(services) >> bit & 1:
            try:
                names.append((ServiceFlags(1 << bit).name or "").removeprefix("NODE_"))
            except ValueError:
                names.append("")
            names[-1] = names[-1] or f"UNKNOWN[2^{bit}]"
    return names


def _own_address(peer: Peer) -> str:
    """Our address as the peer sees it; empty where it doesn't say."""
    theirs = peer.handshake.theirs
    if theirs is None or not int(theirs.addr_recv.ip):
        return ""
    address = theirs.addr_recv.ip
    return str(Endpoint(str(address.ipv4_mapped or address), theirs.addr_recv.port))


def _seconds(duration: float) -> float:
    """To the nanosecond, as Core's clock has them."""
    return real(round(duration, 9))


def _printable(text: bytes) -> str:
    """``SanitizeString``: what is harmless on a terminal."""
    harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;-_/:?@()"
    return "".join(character for character in text.decode("latin-1") if character in harmless)
