"""The command that looks for blocks about descriptors by the filters of ``-blockfilterindex``
(``src/rpc/blockchain.cpp``)."""

import asyncio
from dataclasses import dataclass
from typing import Any, TypedDict

from btclib.block.block_filter import BasicBlockFilter

from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.filterindex import BlockFilterIndex
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState

from .scan import derive
from .stored import stored_block, stored_undo

_AT_ONCE = 100
"""Filters looked through on another thread at a time."""


class ScanBlocksOptions(TypedDict, total=False):
    """Options of `scanblocks`.

    Args:
        filter_false_positives: Look into each block that a filter names, and leave out where it errs. Default: false.
    """

    filter_false_positives: bool


@dataclass
class _Progress:
    """How far a scan is, in percent and by height; ``aborted``: it is to end."""

    percent: int
    height: int
    aborted: bool = False


class ScanBlocksCommands:
    """One scan at a time. ``filters`` is None without the index."""

    def __init__(self, chain: ChainState, filters: BlockFilterIndex | None) -> None:
        self._chain = chain
        self._filters = filters
        self._scan: _Progress | None = None

    @command("blockchain", options="options", waits=True)
    async def scanblocks(
        self,
        action: str,
        scanobjects: list[Any] | None = None,
        start_height: int = 0,
        stop_height: int | None = None,
        filtertype: str = "basic",
        options: ScanBlocksOptions | None = None,
    ) -> Any:
        """Returns blocks that pay to or spend from given descriptors, by the block filters; it needs -blockfilterindex.

        Args:
            action: "start" for starting a scan, "abort" for aborting the current one, "status" for its progress
            scanobjects: Required for "start": each a descriptor, or an object with desc and range, the indexes to
                look at of a ranged one, the end or [begin,end] (default: 1000)
            start_height: Height to start to scan from
            stop_height: Height to stop to scan; the tip if not given
            filtertype: The type name of the filter
            options: filter_false_positives

        Returns:
            For "start" the heights scanned, the hashes of the blocks found, and whether it came to the end; for
            "abort" whether there was a scan; for "status" its progress in percent and its height, or null
        """
        if action == "status":
            scan = self._scan
            return None if scan is None else {"progress": scan.percent, "current_height": scan.height}
        if action == "abort":
            if self._scan is None:
                return False
            self._scan.aborted = True
            return True
        if action != "start":
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid action '{action}'")
        if self._scan is not None:
            raise RpcError(RpcCode.INVALID_PARAMETER, 'Scan already in progress, use action "abort" or "status"')
        if filtertype != "basic":
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Unknown filtertype")
        if self._filters is None:
            raise RpcError(RpcCode.MISC_ERROR, f"Index is not enabled for filtertype {filtertype}")
        start = self._chain.by_height(start_height)
        if start is None:
            raise RpcError(RpcCode.MISC_ERROR, "Invalid start_height")
        stop = self._chain.tip if stop_height is None else self._chain.by_height(stop_height)
        if stop is None or stop.height < start.height:
            raise RpcError(RpcCode.MISC_ERROR, "Invalid stop_height")
        if scanobjects is None:
            raise RpcError(RpcCode.MISC_ERROR, "scanobjects argument is required for the start action")
        self._scan = _Progress(0, start.height)
        try:
            scripts = {script for each in scanobjects async for script, _ in derive(each, self._chain.params.name)}
            exact = bool((options or {}).get("filter_false_positives", False))
            return await self._look(self._scan, self._filters, scripts, start, stop, exact=exact)
        finally:
            self._scan = None

    async def _look(
        self,
        scan: _Progress,
        index: BlockFilterIndex,
        scripts: set[bytes],
        start: BlockNode,
        stop: BlockNode,
        *,
        exact: bool,
    ) -> dict[str, Any]:
        found: list[str] = []
        first = start.height
        while first <= stop.height and not scan.aborted:
            last = min(first + _AT_ONCE - 1, stop.height)
            nodes = [self._chain.ancestor(stop, height) for height in range(first, last + 1)]
            entries = [(node, await index.get(node.hash)) for node in nodes if node is not None]
            filters = [(node, entry.filter) for node, entry in entries if entry is not None]
            for node in await asyncio.to_thread(_matching, filters, scripts):
                if not exact or await self._is_about(node, scripts):
                    found.append(node.hash.hex())
            span = stop.height - start.height
            scan.percent, scan.height = (last - start.height) * 100 // span if span else 100, last
            first = last + 1
        return {
            "from_height": start.height,
            "to_height": scan.height,
            "relevant_blocks": found,
            "completed": not scan.aborted,
        }

    async def _is_about(self, node: BlockNode, scripts: set[bytes]) -> bool:
        """Whether the block really pays to or spends from one of them."""
        contents = BlockContents(await stored_block(self._chain, node))
        paid = (tx_out.script_pub_key.script for tx in contents.transactions for tx_out in tx.vout)
        if any(script in scripts for script in paid):
            return True
        spent = await stored_undo(self._chain, node)
        return any(coin.tx_out.script_pub_key.script in scripts for coins in spent for coin in coins)


def _matching(filters: list[tuple[BlockNode, bytes]], scripts: set[bytes]) -> list[BlockNode]:
    """The blocks whose filters may hold one of the scripts."""
    wanted = list(scripts)
    return [
        node for node, raw in filters if BasicBlockFilter.parse(raw, node.hash, check_validity=False).match_any(wanted)
    ]
