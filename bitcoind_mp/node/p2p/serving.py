"""Headers and blocks for peers that ask: ``getheaders``, ``getblocks``, ``getdata`` (Core's ``net_processing.cpp``).

Of blocks outside our best chain those alone are served that are recent: else a peer could tell, by what it had us see
once, that it is us again.
"""

import asyncio
import logging
from collections.abc import Iterable

from btclib.block.block_header import BlockHeader
from btclib.p2p import GetBlocks, GetHeaders, Headers, Inv, Inventory, InventoryType
from btclib.p2p.limits import MAX_HEADERS_RESULTS

from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.header import BlockNode, Validity, work_of
from bitcoind_mp.node.chain.state import BlockUnavailable, ChainState

from .inventory import Item
from .peer import Peer
from .permissions import Permissions

log = logging.getLogger("bitcoind_mp.net")

#: Blocks told in answer to a ``getblocks``.
_GETBLOCKS_LIMIT = 500
#: How old, in seconds, a block outside the best chain may be to be served (``STALE_RELAY_AGE_LIMIT``).
_STALE_AGE = 30 * 24 * 60 * 60


class BlockServing:
    """What peers ask of our chain."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain

    def on_getheaders(self, peer: Peer, payload: bytes) -> None:
        """``getheaders``: what follows the locator in our best chain, or the one block that is named without one."""
        request = GetHeaders.parse(payload)
        chain = self._chain
        if chain.tip.chain_work < chain.params.minimum_chain_work and not peer.may(Permissions.DOWNLOAD):
            peer.send(Headers([]))  # not silence, which would look like a peer that doesn't answer
            return
        if request.locator:
            node = chain.next(chain.fork_point(list(request.locator)))
        else:
            node = chain.by_hash(request.hash_stop)
            if node is None or not self.may_be_served(node):
                return
        run: list[BlockNode] = []
        while node is not None:
            run.append(node)
            if len(run) == MAX_HEADERS_RESULTS or node.hash == request.hash_stop:
                break
            node = chain.next(node)
        peer.best_sent = node or chain.tip
        peer.send(headers_of(run))

    def on_getblocks(self, peer: Peer, payload: bytes) -> None:
        """``getblocks``: what follows the locator in our best chain, as an inv."""
        request = GetBlocks.parse(payload)
        node = self._chain.next(self._chain.fork_point(list(request.locator)))
        run: list[Inventory] = []
        while node is not None and node.hash != request.hash_stop:
            run.append(Inventory(InventoryType.MSG_BLOCK, node.hash))
            if len(run) == _GETBLOCKS_LIMIT:
                peer.continuation = node.hash
                break
            node = self._chain.next(node)
        if run:
            peer.send(Inv(run))

    async def serve(self, peer: Peer, item: Item) -> None:
        """Send the block that the peer asked for; nothing where it isn't here."""
        node = self._chain.by_hash(item.hash)
        if node is None or not node.has_data:
            return
        if not self.may_be_served(node):
            log.debug("not serving %s the old block %s outside the best chain", peer, node.hash.hex())
            return
        try:
            raw = await self._chain.read_block(node)
        except BlockUnavailable:
            return
        if item.kind == InventoryType.MSG_BLOCK:
            raw = await asyncio.to_thread(_without_witnesses, raw)
        peer.link.send_raw("block", raw)
        if node.hash == peer.continuation:
            peer.continuation = None
            peer.send(Inv([Inventory(InventoryType.MSG_BLOCK, self._chain.tip.hash)]))

    def may_be_served(self, node: BlockNode) -> bool:
        """Whether a peer may have the block (``BlockRequestAllowed``)."""
        if self._chain.contains(node):
            return True
        best = self._chain.best_header
        if node.failed or node.validity < Validity.SCRIPTS or best.time - node.time >= _STALE_AGE:
            return False
        spacing = self._chain.params.consensus.pow_target_spacing
        return (best.chain_work - node.chain_work) * spacing // work_of(best.bits) < _STALE_AGE


def _without_witnesses(raw: bytes) -> bytes:
    return BlockContents(raw).block.serialize(False, check_validity=False)


def headers_of(nodes: Iterable[BlockNode]) -> Headers:
    """The message with these blocks' headers."""
    return Headers([BlockHeader.parse(node.header, check_validity=False) for node in nodes], check_validity=False)
