"""Commands that overrule which branch is the best (``src/rpc/blockchain.cpp``)."""

from bitcoind_mp.interfaces.command import command, commit_point
from bitcoind_mp.node.chain.state import ChainState

from .blockchain import known_block


class InvalidationCommands:
    """What they did is on disk when they answer."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain

    @command("hidden", changes=True, hidden=True)
    async def invalidateblock(self, blockhash: str) -> None:
        """Permanently marks a block as invalid, as if it violated a consensus rule.

        Args:
            blockhash: The hash of the block to mark as invalid
        """
        node = known_block(self._chain, blockhash)
        commit_point()
        await self._chain.invalidate(node)

    @command("hidden", changes=True, hidden=True)
    async def reconsiderblock(self, blockhash: str) -> None:
        """Removes invalidity status of a block, its ancestors and its descendants, reconsider them for activation.

        This can be used to undo the effects of invalidateblock.

        Args:
            blockhash: The hash of the block to reconsider
        """
        node = known_block(self._chain, blockhash)
        commit_point()
        await self._chain.reconsider(node)

    @command("blockchain", changes=True)
    async def preciousblock(self, blockhash: str) -> None:
        """Treats a block as if it were received before others with the same work.

        A later preciousblock call can override the effect of an earlier one.

        Args:
            blockhash: The hash of the block to mark as precious
        """
        node = known_block(self._chain, blockhash)
        commit_point()
        await self._chain.prefer(node)
