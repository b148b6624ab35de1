"""Whether a peer is still there: pings, and what becomes of one that is silent. All by the node's clock.

Core's ``MaybeSendPing`` and ``ProcessPong`` (``src/net_processing.cpp``), ``InactivityCheck`` (``src/net.cpp``).
"""

import logging
import secrets

from btclib.p2p import Ping, Pong

from bitcoind_mp.node.chain.clock import Clock

from .alarm import Alarm
from .peer import Peer

log = logging.getLogger("bitcoind_mp.net")

#: Seconds between pings, and of silence before a peer is given up (``PING_INTERVAL``, ``TIMEOUT_INTERVAL``).
PING_INTERVAL = 120.0
SILENCE = 20 * 60.0
#: Pings have a nonce from the version after this on (BIP31).
_NO_NONCE = 60000


class Pings:
    """All peers' pings. Lives in the loop.

    Args:
        clock: the node's.
        peers: the connected peers by number; the owner's own, seen here as it changes.
        patience: seconds that a new peer is not looked at (``-peertimeout``).
    """

    patience = 60.0

    def __init__(self, clock: Clock, peers: dict[int, Peer]) -> None:
        self._clock = clock
        self._peers = peers
        self._alarm = Alarm(clock, self._look)

    def greet(self, peer: Peer) -> None:
        """The peer's handshake is complete: measure the round trip."""
        self.ping(peer)
        self.wait()

    def close(self) -> None:
        self._alarm.close()

    def ask(self, peer: Peer) -> None:
        """Somebody wants to know the round trip now."""
        if peer.ready:
            self._send(peer, self._clock.exact())

    def ping(self, peer: Peer) -> None:
        """Measure the round trip, unless a ping is under way or was not long ago."""
        now = self._clock.exact()
        if peer.ready and not peer.ping.nonce and now > peer.ping.sent + PING_INTERVAL:
            self._send(peer, now)

    def on_ping(self, peer: Peer, payload: bytes) -> None:
        theirs = peer.handshake.theirs
        if theirs is not None and theirs.version > _NO_NONCE:
            peer.send(Pong(Ping.parse(payload).nonce))

    def on_pong(self, peer: Peer, payload: bytes) -> None:
        ping = peer.ping
        problem, nonce = "", int.from_bytes(payload[:8], "little")
        ends = len(payload) < 8 or (bool(ping.nonce) and nonce in (ping.nonce, 0))
        if len(payload) < 8:
            problem = "Short payload"
        elif not ping.nonce:
            problem = "Unsolicited pong without ping"
        elif nonce == ping.nonce:
            took = self._clock.exact() - ping.sent
            if took >= 0:
                ping.last = took
                ping.best = took if ping.best is None else min(took, ping.best)
        else:
            problem = "Nonce mismatch" if nonce else "Nonce zero"
        if problem:
            log.debug("pong %s: %s, %x expected, %x received, %d bytes", peer, problem, ping.nonce, nonce, len(payload))
        if ends:
            ping.nonce = 0
            self.wait()

    def wait(self) -> None:
        """Look again when there may be something to see."""
        self._alarm.set(min((self._due(peer) for peer in self._peers.values()), default=None))

    def _due(self, peer: Peer) -> float:
        """When a peer is to be pinged, or given up."""
        traffic, ping = peer.traffic, peer.ping
        checked = traffic.connected + self.patience
        if not peer.ready:
            return checked
        silent = min(traffic.last_send, traffic.last_receive) + SILENCE
        if ping.nonce:
            return max(checked, min(ping.sent + SILENCE, silent))
        return min(ping.sent + PING_INTERVAL, max(checked, silent))

    def _look(self) -> None:
        now = self._clock.exact()
        for peer in list(self._peers.values()):
            why = self._why_ended(peer, now)
            if why:
                peer.disconnect(why)
            else:
                self.ping(peer)
        due = min((self._due(peer) for peer in self._peers.values()), default=None)
        self._alarm.set(None if due is None else max(due, now + _A_WHILE))

    def _why_ended(self, peer: Peer, now: float) -> str:
        traffic, ping = peer.traffic, peer.ping
        if now <= traffic.connected + self.patience:
            return ""
        if not traffic.last_receive or not traffic.last_send:
            never = ", never received from peer" * (not traffic.last_receive)
            never += ", never sent to peer" * (not traffic.last_send)
            return f"socket no message in first {self.patience:.0f} seconds{never}"
        if now > traffic.last_send + SILENCE:
            return f"socket sending timeout: {now - traffic.last_send:.0f}s"
        if now > traffic.last_receive + SILENCE:
            return f"socket receive timeout: {now - traffic.last_receive:.0f}s"
        if not peer.ready:
            return "version handshake timeout"
        if ping.nonce and now > ping.sent + SILENCE:
            return f"ping timeout: {now - ping.sent:.6f}s"
        return ""

    def _send(self, peer: Peer, now: float) -> None:
        peer.ping.sent = now
        theirs = peer.handshake.theirs
        if theirs is not None and theirs.version > _NO_NONCE:
            peer.ping.nonce = secrets.randbits(64) | 1
            peer.send(Ping(peer.ping.nonce))
        else:
            peer.ping.nonce = 0
            peer.link.send_raw("ping", b"")


#: Seconds after which a deadline that has come to nothing is looked at again.
_A_WHILE = 1.0
