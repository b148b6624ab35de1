"""Commands about the chain as a whole (``src/rpc/blockchain.cpp``). Those about one block are in ``blocks.py``, about
coins in ``coins.py``, about soft forks in ``deployments.py``, those that wait in ``waiting.py``."""

from typing import Any

from bitcoind_mp.interfaces.command import command, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.render.json_values import integer, real

_MONTH = 30 * 24 * 60 * 60


class BlockchainCommands:
    """They answer at once, from memory."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain

    @command("blockchain")
    def getblockchaininfo(self) -> dict[str, Any]:
        """Tells where the chain stands.

        Returns:
            The network, the heights of blocks and headers, the tip with its target and times, progress, work, size
            on disk, whether it is pruned, and warnings
        """
        chain, tip = self._chain, self._chain.tip
        info: dict[str, Any] = {
            "chain": chain.params.name,
            "blocks": tip.height,
            "headers": chain.best_header.height,
            "bestblockhash": tip.hash.hex(),
            "bits": f"{tip.bits:08x}",
            "target": f"{tip.target:064x}",
            "difficulty": real(tip.difficulty),
            "time": tip.time,
            "mediantime": tip.median_time,
            "verificationprogress": real(chain.verification_progress),
            "initialblockdownload": chain.initial_block_download,
            "chainwork": f"{tip.chain_work:064x}",
            "size_on_disk": chain.size_on_disk,
            "pruned": False,
        }
        if chain.params.name == "signet":
            info["signet_challenge"] = chain.params.challenge.hex()
        info["warnings"] = chain.warnings
        return info

    @command("blockchain")
    def getblockcount(self) -> int:
        """Returns the height of the most-work fully-validated chain. The genesis block has height 0.

        Returns:
            The current block count
        """
        return self._chain.height

    @command("blockchain")
    def getbestblockhash(self) -> str:
        """Returns the hash of the best (tip) block in the most-work fully-validated chain.

        Returns:
            The block hash
        """
        return self._chain.tip.hash.hex()

    @command("blockchain")
    def getblockhash(self, height: int) -> str:
        """Returns hash of block in best-block-chain at height provided.

        Args:
            height: The height index

        Returns:
            The block hash
        """
        node = self._chain.by_height(integer(height)) if height >= 0 else None
        if node is None:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Block height out of range")
        return node.hash.hex()

    @command("blockchain")
    def getdifficulty(self) -> float:
        """Returns the proof-of-work difficulty as a multiple of the minimum difficulty.

        Returns:
            The difficulty
        """
        return real(self._chain.tip.difficulty)

    @command("blockchain")
    def getchaintips(self) -> list[dict[str, Any]]:
        """Lists the ends of all known branches of the block tree, the best chain and orphaned ones.

        Returns:
            For each its height, hash, length off the best chain, and how far it has been validated
        """
        return [
            {"height": node.height, "hash": node.hash.hex(), "branchlen": length, "status": status}
            for node, length, status in self._chain.tips()
        ]

    @command("blockchain")
    def getchaintxstats(self, nblocks: int | None = None, blockhash: str | None = None) -> dict[str, Any]:
        """Computes statistics about the number and rate of transactions in the chain.

        Args:
            nblocks: The size of the window in blocks; a month's if not given
            blockhash: The block that ends the window; the tip if not given

        Returns:
            The window's end, size and time, and how many transactions there are in all, in it, and a second
        """
        node = self._chain.tip
        if blockhash is not None:
            node = known_block(self._chain, blockhash)
            if not self._chain.contains(node):
                raise RpcError(RpcCode.INVALID_PARAMETER, "Block is not in main chain")
        if nblocks is None:
            month = _MONTH // self._chain.params.consensus.pow_target_spacing
            count = max(0, min(month, node.height - 1))
        else:
            count = integer(nblocks)
            if count < 0 or (count > 0 and count >= node.height):
                raise RpcError(
                    RpcCode.INVALID_PARAMETER,
                    "Invalid block count: should be between 0 and the block's height - 1",
                )
        past = self._chain.ancestor(node, node.height - count)
        assert past is not None
        stats: dict[str, Any] = {"time": node.time}
        if node.chain_tx_count:
            stats["txcount"] = node.chain_tx_count
        stats["window_final_block_hash"] = node.hash.hex()
        stats["window_final_block_height"] = node.height
        stats["window_block_count"] = count
        if count > 0:
            interval = node.median_time - past.median_time
            stats["window_interval"] = interval
            if node.chain_tx_count and past.chain_tx_count:
                stats["window_tx_count"] = node.chain_tx_count - past.chain_tx_count
                if interval > 0:
                    stats["txrate"] = real(stats["window_tx_count"] / interval)
        return stats


def known_block(chain: ChainState, blockhash: str, name: str = "blockhash") -> BlockNode:
    """The block of a ``blockhash`` parameter, on whatever branch."""
    node = chain.by_hash(parse_hash(blockhash, name))
    if node is None:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block not found")
    return node
