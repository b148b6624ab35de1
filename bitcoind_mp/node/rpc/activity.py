"""The command that tells what was paid to and spent from descriptors, without a wallet (``src/rpc/blockchain.cpp``)."""

from collections.abc import Iterator, Sequence
from typing import Any

from btclib.tx.tx import Tx
from btclib.tx.tx_in import TxIn
from btclib.tx.tx_out import TxOut

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import command, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.render.script import script_json

from .lookup import Lookup
from .scan import derive
from .stored import stored_block, stored_undo


class ActivityCommands:
    """Blocks, and the mempool."""

    def __init__(self, chain: ChainState, mempool: Mempool, lookup: Lookup) -> None:
        self._chain = chain
        self._mempool = mempool
        self._lookup = lookup

    @command("blockchain")
    async def getdescriptoractivity(
        self, blockhashes: list[str], scanobjects: list[Any], include_mempool: bool = True
    ) -> dict[str, Any]:
        """Gets what was paid to and spent from descriptors in some blocks, such as scanblocks finds.

        Args:
            blockhashes: The blocks to examine, in any order, of the best chain
            scanobjects: What to look for: each a descriptor, or an object with desc and range, the indexes to look at
                of a ranged one, the end or [begin,end] (default: 1000)
            include_mempool: Whether to include unconfirmed activity

        Returns:
            The events, each a spend or a receive with its amount, where it is, and the output script
        """
        nodes = {self._block(text) for text in blockhashes}
        scripts = {script for each in scanobjects async for script, _ in derive(each, self._chain.params.name)}
        activity: list[dict[str, Any]] = []
        for node in sorted(nodes, key=lambda node: node.height):
            activity += await self._in_block(node, scripts)
        if include_mempool:
            for entry in self._mempool.entries():
                tx = entry.tx
                spent = [self._lookup.output((tx_in.prev_out.tx_id, tx_in.prev_out.vout)) for tx_in in tx.vin]
                activity += self._events(tx, spent, scripts, {})
        return {"activity": activity}

    def _block(self, text: str) -> BlockNode:
        node = self._chain.by_hash(parse_hash(text, "blockhash"))
        if node is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block not found")
        if not self._chain.contains(node):
            raise RpcError(RpcCode.INVALID_PARAMETER, "Block is not in main chain")
        return node

    async def _in_block(self, node: BlockNode, scripts: set[bytes]) -> list[dict[str, Any]]:
        transactions = BlockContents(await stored_block(self._chain, node)).transactions
        undo = await stored_undo(self._chain, node)
        where = {"blockhash": node.hash.hex(), "height": node.height}
        events: list[dict[str, Any]] = []
        for tx, coins in zip(transactions, [[], *undo], strict=True):
            events += self._events(tx, [coin.tx_out for coin in coins], scripts, where)
        return events

    def _events(
        self, tx: Tx, spent: Sequence[TxOut | None], scripts: set[bytes], where: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """What one transaction spends from and pays to them. ``spent`` are the outputs of its inputs, in order; none of
        a coinbase."""
        for index, (tx_in, output) in enumerate(zip(tx.vin, spent, strict=False)):
            if output is not None and output.script_pub_key.script in scripts:
                yield self._spend(tx, index, tx_in, output, where)
        for index, output in enumerate(tx.vout):
            if output.script_pub_key.script in scripts:
                yield {
                    "type": "receive",
                    "amount": btc(output.value),
                    **where,
                    "txid": tx.id.hex(),
                    "vout": index,
                    "output_spk": script_json(output.script_pub_key.script, self._chain.params.name),
                }

    def _spend(self, tx: Tx, index: int, tx_in: TxIn, output: TxOut, where: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "spend",
            "amount": btc(output.value),
            **where,
            "spend_txid": tx.id.hex(),
            "spend_vin": index,
            "prevout_txid": tx_in.prev_out.tx_id.hex(),
            "prevout_vout": tx_in.prev_out.vout,
            "prevout_spk": script_json(output.script_pub_key.script, self._chain.params.name),
        }
