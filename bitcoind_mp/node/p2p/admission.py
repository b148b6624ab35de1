"""Whether a caller may come in: who is banned, how many may be here, and who has to make room.

What doesn't belong: whom of those that are here a newcomer replaces (``eviction.py``), and what a ban is (``bans.py``).
"""

import logging
import secrets
from collections.abc import Mapping

from btclib.hashes import sha256

from .bans import BanList
from .endpoint import Endpoint
from .eviction import Candidate, select
from .peer import Peer
from .permissions import Permissions

log = logging.getLogger("bitcoind_mp.net")


class Admission:
    """Lets no more than ``max_inbound`` callers in."""

    def __init__(self, bans: BanList, max_inbound: int) -> None:
        self._bans = bans
        self._max_inbound = max_inbound
        self._secret = secrets.token_bytes(16)

    def lets_in(self, endpoint: Endpoint, permissions: Permissions, peers: Mapping[int, Peer]) -> bool:
        """Whether a caller may come in beside these; one of them is sent away where there is no room else."""
        callers = sum(peer.inbound for peer in peers.values())
        trusted = Permissions.NO_BAN in permissions
        if not trusted and self._bans.is_banned(endpoint.address):
            log.debug("connection from %s dropped (banned)", endpoint)
        elif not trusted and callers + 1 >= self._max_inbound and self._bans.is_discouraged(endpoint.address):
            log.debug("connection from %s dropped (discouraged)", endpoint)
        elif callers >= self._max_inbound and not self._made_room(peers):
            log.info("connection refused: %d inbound connections are open", self._max_inbound)
        else:
            return True
        return False

    def _made_room(self, peers: Mapping[int, Peer]) -> bool:
        """Whether a caller could be sent away for another."""
        callers = [peer for peer in peers.values() if peer.inbound and not peer.may(Permissions.NO_BAN)]
        chosen = select([self._candidate(peer) for peer in callers])
        if chosen is None:
            return False
        peers[chosen].disconnect("making room for another")
        return True

    def _candidate(self, peer: Peer) -> Candidate:
        address = peer.endpoint.address
        network = b"" if address is None else address.packed[: 2 if address.version == 4 else 4]
        return Candidate(
            number=peer.number,
            connected=peer.traffic.connected,
            best_ping=peer.ping.best,
            last_block=peer.traffic.last_block,
            last_transaction=peer.traffic.last_transaction,
            serves_blocks=peer.serves_blocks and peer.serves_witnesses,
            wants_transactions=peer.wants_transactions,
            network=network,
            secret=sha256(self._secret + network),
            local=address is not None and address.is_loopback,
            discouraged=self._bans.is_discouraged(address),
        )
