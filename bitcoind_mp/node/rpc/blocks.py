"""Commands about one block (``src/rpc/blockchain.cpp``)."""

import asyncio
from typing import Any

from bitcoind_mp.interfaces.command import command, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.header import BlockNode, Validity
from bitcoind_mp.node.chain.indexes import BlockFilterIndex
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.render.block import block_json, header_json
from bitcoind_mp.render.json_values import integer, type_name

from .blockchain import known_block
from .blockstats import block_stats
from .rawtransactions import parse_verbosity
from .stored import stored_block, stored_undo, undo_details


class BlockCommands:
    """``filters`` is None where there is no filter index."""

    def __init__(self, chain: ChainState, filters: BlockFilterIndex | None) -> None:
        self._chain = chain
        self._filters = filters

    @command("blockchain", aliases={"verbose": "verbosity"})
    async def getblock(self, blockhash: str, verbosity: Any = 1) -> str | dict[str, Any]:
        """Returns a block.

        Args:
            blockhash: The block hash
            verbosity (numeric): 0 for hex, 1 for an object with txids, 2 for one with decoded transactions, 3 for one
                with the outputs they spend as well

        Returns:
            The serialized block in hex, or the block as an object
        """
        wanted = parse_hash(blockhash, "blockhash")
        level = parse_verbosity(verbosity, 1)
        node = self._chain.by_hash(wanted)
        if node is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block not found")
        raw = await stored_block(self._chain, node)
        if level <= 0:
            return raw.hex()
        spent = await undo_details(self._chain, node) if level > 1 else None
        header, chain = self._header(node), self._chain.params.name

        def decode() -> dict[str, Any]:
            block = BlockContents(raw).block
            return block_json(header, block, chain, decode=level > 1, spent=spent, with_prevouts=level > 2)

        return await asyncio.to_thread(decode)  # a full block is a second's work

    def _header(self, node: BlockNode) -> dict[str, Any]:
        chain = self._chain
        following = chain.next(node)
        confirmations = chain.height - node.height + 1 if chain.contains(node) else -1
        previous = node.previous_hash if node.height else None
        return header_json(node, confirmations, previous, None if following is None else following.hash)

    @command("blockchain")
    def getblockheader(self, blockhash: str, verbose: bool = True) -> str | dict[str, Any]:
        """Returns a block's header.

        Args:
            blockhash: The block hash
            verbose: true for an object, false for hex

        Returns:
            The header's 80 bytes in hex, or as an object with its place in the chain
        """
        node = known_block(self._chain, blockhash, "hash")
        return self._header(node) if verbose else node.header.hex()

    @command("blockchain")
    async def getblockfilter(self, blockhash: str, filtertype: str = "basic") -> dict[str, str]:
        """Returns a block's BIP157 content filter.

        Args:
            blockhash: The block hash
            filtertype: The type name of the filter

        Returns:
            The encoded filter and its header, in hex
        """
        wanted = parse_hash(blockhash, "blockhash")
        if filtertype != "basic":
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Unknown filtertype")
        if self._filters is None:
            raise RpcError(RpcCode.MISC_ERROR, f"Index is not enabled for filtertype {filtertype}")
        node = self._chain.by_hash(wanted)
        if node is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block not found")
        entry = await self._filters.get(node.hash)
        if entry is not None:
            return {"filter": entry.filter.hex(), "header": entry.header.hex()}
        if node.validity < Validity.SCRIPTS or node.failed:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Filter not found. Block was not connected to active chain.")
        if not self._filters.state.synced:
            raise RpcError(
                RpcCode.MISC_ERROR, "Filter not found. Block filters are still in the process of being indexed."
            )
        raise RpcError(
            RpcCode.INTERNAL_ERROR,
            "Filter not found. This error is unexpected and indicates index corruption.",
        )

    @command("blockchain")
    async def getblockstats(self, hash_or_height: Any, stats: list[str] | None = None) -> dict[str, Any]:
        """Computes statistics of a block. Amounts are in satoshis.

        Args:
            hash_or_height (string or numeric): The block's hash or height
            stats: The names of the values wanted; all if not given

        Returns:
            The values by name
        """
        node = self._by_hash_or_height(hash_or_height)
        raw = await stored_block(self._chain, node)
        spent = await stored_undo(self._chain, node) if node.height else []
        consensus = self._chain.params.consensus
        computed = await asyncio.to_thread(lambda: block_stats(node, BlockContents(raw).block, spent, consensus))
        if not stats:
            return computed
        for name in sorted(set(stats)):
            if name not in computed:
                raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid selected statistic '{name}'")
        return {name: computed[name] for name in sorted(set(stats))}

    def _by_hash_or_height(self, value: Any) -> BlockNode:
        """``ParseHashOrHeight``"""
        if type_name(value) != "number":
            if type_name(value) != "string":
                raise RpcError(
                    RpcCode.TYPE_ERROR,
                    f"JSON value of type {type_name(value)} is not of expected type string",
                )
            return known_block(self._chain, value, "hash_or_height")
        height = integer(value)
        if height < 0:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Target block height {height} is negative")
        node = self._chain.by_height(height)
        if node is None:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                f"Target block height {height} after current tip {self._chain.height}",
            )
        return node
