"""Compact block filters for peers that ask (BIP157; Core's ``src/net_processing.cpp``, ``ProcessGetCFilters`` and after
it), of ``-blockfilterindex`` and with ``-peerblockfilters``. Who asks for what can't be is disconnected."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from btclib.hashes import hash256
from btclib.p2p import (
    BlockFilterType,
    CFCheckpt,
    CFHeaders,
    CFilter,
    GetCFCheckpt,
    GetCFHeaders,
    GetCFilters,
)
from btclib.p2p.limits import CFCHECKPT_INTERVAL, MAX_GETCFHEADERS_SIZE, MAX_GETCFILTERS_SIZE

from bitcoind_mp.node.chain.filterindex import BlockFilterIndex, FilterEntry
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState

from .peer import Peer
from .wire import PeerEndedError

_NO_HEADER = bytes(32)


@dataclass(frozen=True)
class _Range:
    """The blocks that a request is about, the first first."""

    nodes: list[BlockNode]

    @property
    def stop(self) -> BlockNode:
        return self.nodes[-1]


class FilterServing:
    """What peers ask of the filters.

    Args:
        index: the filters.
        may_be_served: whether the peer may have that block.
    """

    def __init__(self, chain: ChainState, index: BlockFilterIndex, may_be_served: Callable[[BlockNode], bool]) -> None:
        self._chain = chain
        self._index = index
        self._may_be_served = may_be_served
        self.handlers: dict[str, Callable[[Peer, bytes], Awaitable[None]]] = {
            GetCFilters.command: self._on_getcfilters,
            GetCFHeaders.command: self._on_getcfheaders,
            GetCFCheckpt.command: self._on_getcfcheckpt,
        }

    async def _on_getcfilters(self, peer: Peer, payload: bytes) -> None:
        request = GetCFilters.parse(payload)
        asked = self._range(request.filter_type, request.start_height, request.stop_hash, MAX_GETCFILTERS_SIZE)
        entries = await self._entries(asked.nodes)
        for node, entry in zip(asked.nodes, entries or (), strict=False):
            if not await peer.link.drained():
                return
            peer.send(CFilter(BlockFilterType.BASIC, node.hash, entry.filter, check_validity=False))

    async def _on_getcfheaders(self, peer: Peer, payload: bytes) -> None:
        request = GetCFHeaders.parse(payload)
        asked = self._range(request.filter_type, request.start_height, request.stop_hash, MAX_GETCFHEADERS_SIZE)
        before = asked.nodes[0].previous
        entries = await self._entries(asked.nodes if before is None else [before, *asked.nodes])
        if entries is None:
            return
        previous = _NO_HEADER if before is None else entries.pop(0).header
        hashes = [hash256(entry.filter)[::-1] for entry in entries]
        peer.send(CFHeaders(BlockFilterType.BASIC, asked.stop.hash, previous, hashes, check_validity=False))

    async def _on_getcfcheckpt(self, peer: Peer, payload: bytes) -> None:
        request = GetCFCheckpt.parse(payload)
        stop = self._range(request.filter_type, 0, request.stop_hash, None).stop
        heights = range(CFCHECKPT_INTERVAL, stop.height + 1, CFCHECKPT_INTERVAL)
        nodes = [node for height in heights if (node := self._chain.ancestor(stop, height)) is not None]
        entries = await self._entries(nodes)
        if entries is not None:
            headers = [entry.header for entry in entries]
            peer.send(CFCheckpt(BlockFilterType.BASIC, stop.hash, headers, check_validity=False))

    def _range(self, kind: int, start: int, stop_hash: bytes, most: int | None) -> _Range:
        """Raises PeerEndedError (``PrepareBlockFilterRequest``)."""
        if kind != BlockFilterType.BASIC:
            raise PeerEndedError(f"peer requested unsupported block filter type: {int(kind)}")
        stop = self._chain.by_hash(stop_hash)
        if stop is None or not self._may_be_served(stop):
            raise PeerEndedError(f"peer requested invalid block hash: {stop_hash.hex()}")
        if start > stop.height:
            raise PeerEndedError(f"peer sent invalid request with start height {start} and stop height {stop.height}")
        if most is None:
            return _Range([stop])
        if stop.height - start >= most:
            raise PeerEndedError(f"peer requested too many filters: {stop.height - start + 1} / {most}")
        nodes: list[BlockNode] = []
        node: BlockNode | None = stop
        while node is not None and node.height >= start:
            nodes.append(node)
            node = node.previous
        return _Range(nodes[::-1])

    async def _entries(self, nodes: list[BlockNode]) -> list[FilterEntry] | None:
        """Their filters; None where one isn't indexed yet."""
        found = []
        for node in nodes:
            entry = await self._index.get(node.hash)
            if entry is None:
                return None
            found.append(entry)
        return found
