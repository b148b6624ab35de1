"""Commands about unspent outputs and proofs of inclusion (``src/rpc/blockchain.cpp``, ``src/rpc/txoutproof.cpp``)."""

import asyncio
from typing import Any

from btclib.block.partial_merkle_tree import PartialMerkleTree
from btclib.tx.coin import Coin
from btclib.tx.limits import MAX_TX_OUT_COUNT

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import Call, command, parse_hash, parse_hex
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.render.inclusion import read_inclusion
from bitcoind_mp.render.script import script_json

from .blockchain import known_block
from .lookup import Lookup
from .rawtransactions import uint32

_HASH_TYPES = ("hash_serialized_3", "muhash", "none")


class CoinCommands:
    """The coins at the tip, with or without the mempool's changes to them."""

    def __init__(self, chain: ChainState, lookup: Lookup) -> None:
        self._chain = chain
        self._lookup = lookup

    @command("blockchain")
    def gettxout(self, txid: str, n: int, include_mempool: bool = True) -> dict[str, Any] | None:
        """Returns details about an unspent transaction output.

        Args:
            txid: The transaction id
            n: The output's number
            include_mempool: Whether outputs of the mempool count, and those that it spends don't

        Returns:
            The tip, the output's confirmations, value, script, and whether it is of a coinbase; null if it is spent
            or unknown
        """
        outpoint = (parse_hash(txid, "txid"), uint32(n))
        coin = self._lookup.unspent(outpoint, with_mempool=include_mempool)
        if coin is None:
            return None
        tip = self._chain.tip
        return {
            "bestblock": tip.hash.hex(),
            "confirmations": max(0, tip.height - coin.height + 1),
            "value": btc(coin.tx_out.value),
            "scriptPubKey": script_json(coin.tx_out.script_pub_key.script, self._chain.params.name),
            "coinbase": coin.is_coinbase,
        }

    @command("blockchain")
    async def gettxoutsetinfo(
        self,
        call: Call,
        hash_type: str = "hash_serialized_3",
        hash_or_height: Any = None,
        use_index: bool = True,
    ) -> dict[str, Any]:
        """Computes statistics about the unspent outputs. It reads all of them.

        Args:
            hash_type: Which hash of the set to compute: hash_serialized_3, muhash or none
            hash_or_height (string or numeric): A block to ask about; needs an index that this node doesn't have
            use_index: Use that index, if there is one

        Returns:
            The tip, how many outputs and transactions there are, their sizes, the hash, and the total amount
        """
        if hash_type not in _HASH_TYPES:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"'{hash_type}' is not a valid hash_type")
        if hash_or_height is not None:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Querying specific block heights requires coinstatsindex")
        stats = await self._chain.coin_stats(hash_type, call.progress)
        info: dict[str, Any] = {
            "height": stats.height,
            "bestblock": stats.hash.hex(),
            "txouts": stats.outputs,
            "bogosize": stats.bogo_size,
        }
        if stats.digest is not None:
            info[hash_type] = stats.digest.hex()
        info["total_amount"] = btc(stats.total_amount)
        info["transactions"] = stats.transactions
        info["disk_size"] = stats.disk_size
        return info

    @command("blockchain")
    async def gettxoutproof(self, txids: list[str], blockhash: str | None = None) -> str:
        """Makes a proof that transactions were included in a block.

        Args:
            txids: The transactions
            blockhash: The block; if not given, one of them must have an unspent output, or there must be a
                transaction index

        Returns:
            The proof in hex
        """
        if not txids:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Parameter 'txids' cannot be empty")
        wanted: list[bytes] = []
        for text in txids:
            txid = parse_hash(text, "txid")
            if txid in wanted:
                raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid parameter, duplicated txid: {text}")
            wanted.append(txid)
        if blockhash is not None:
            block = known_block(self._chain, blockhash)
        else:
            block = await self._block_of(wanted)
        contents = await self._lookup.contents(block)
        ids = [tx.id for tx in contents.transactions]
        if not set(wanted) <= set(ids):
            raise RpcError(
                RpcCode.INVALID_ADDRESS_OR_KEY,
                "Not all transactions found in specified or retrieved block",
            )
        tree = PartialMerkleTree.from_txids(ids, [txid in wanted for txid in ids])
        return (contents.header + tree.serialize()).hex()

    async def _block_of(self, txids: list[bytes]) -> BlockNode:
        """The block that the index names; without one, that of any unspent output of any of them."""
        ordered = sorted(txids, key=lambda txid: txid[::-1])
        found = await self._lookup.confirmed(ordered[0])
        if found is not None and found.block is not None:
            return found.block
        for txid in ordered:
            coin = await self._any_output(txid)
            if coin is not None:
                node = self._chain.by_height(coin.height)
                assert node is not None
                return node
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Transaction not yet in block")

    async def _any_output(self, txid: bytes) -> Coin | None:
        """An unspent output of the transaction (``AccessByTxid``): all its outputs are tried, so others get a turn."""
        for index in range(MAX_TX_OUT_COUNT):
            coin = self._lookup.unspent((txid, index))
            if coin is not None:
                return coin
            if index % 1000 == 999:
                await asyncio.sleep(0)
        return None

    @command("blockchain")
    def verifytxoutproof(self, proof: str) -> list[str]:
        """Verifies that a proof points to transactions in a block of the best chain.

        Args:
            proof: The proof in hex, as gettxoutproof makes it

        Returns:
            The transactions that it proves, or none if it is not valid
        """
        found = read_inclusion(parse_hex(proof, "proof"))
        if found.matches is None:
            return []
        node = self._chain.by_hash(found.block)
        if node is None or not self._chain.contains(node) or not node.tx_count:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block not found in chain")
        if node.tx_count != found.tx_count:
            return []
        return [txid.hex() for txid in found.matches]
