"""Commands that wait for a block (``src/rpc/blockchain.cpp``), and the waiting."""

import asyncio
from collections.abc import Callable
from typing import Any

from bitcoind_mp.interfaces.command import command, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState, Listener
from bitcoind_mp.render.json_values import integer


class TipWatch(Listener):
    """Wakes one waiter at each new tip. Use as a context manager."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain
        self._changed = asyncio.Event()

    def __enter__(self) -> "TipWatch":
        self._subscription = self._chain.subscribe(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._subscription.close()

    def tip_changed(self, node: BlockNode) -> None:
        self._changed.set()

    async def wait_until(self, done: Callable[[BlockNode], bool], seconds: float | None) -> bool:
        """Wait until ``done(tip)`` is true; whether it is. ``seconds`` None for no limit."""
        try:
            async with asyncio.timeout(seconds):
                while not done(self._chain.tip):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class WaitingCommands:
    """Each call waits on its own; a caller that disconnects ends its own wait."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain

    @command("blockchain", waits=True)
    async def waitfornewblock(self, timeout_: int = 0, current_tip: str | None = None) -> dict[str, Any]:
        """Waits until the tip is another block than now, or than the one given.

        Args:
            timeout_: How many milliseconds to wait at most, 0 for no limit
            current_tip: Wait for the tip to be another block than this

        Returns:
            The tip's hash and height, when it changed or the time is over
        """
        old = self._chain.tip.hash if current_tip is None else parse_hash(current_tip, "current_tip")
        return await self._wait(lambda tip: tip.hash != old, timeout_)

    @command("blockchain", waits=True)
    async def waitforblock(self, blockhash: str, timeout_: int = 0) -> dict[str, Any]:
        """Waits until a certain block is the tip.

        Args:
            blockhash: The hash of the block
            timeout_: How many milliseconds to wait at most, 0 for no limit

        Returns:
            The tip's hash and height, when it is that block or the time is over
        """
        wanted = parse_hash(blockhash, "blockhash")
        return await self._wait(lambda tip: tip.hash == wanted, timeout_)

    @command("blockchain", waits=True)
    async def waitforblockheight(self, height: int, timeout_: int = 0) -> dict[str, Any]:
        """Waits until the chain has at least a certain height.

        Args:
            height: The height
            timeout_: How many milliseconds to wait at most, 0 for no limit

        Returns:
            The tip's hash and height, when it is reached or the time is over
        """
        wanted = integer(height)
        return await self._wait(lambda tip: tip.height >= wanted, timeout_)

    async def _wait(self, done: Callable[[BlockNode], bool], milliseconds: int) -> dict[str, Any]:
        if integer(milliseconds) < 0:
            raise RpcError(RpcCode.MISC_ERROR, "Negative timeout")
        with TipWatch(self._chain) as watch:
            await watch.wait_until(done, milliseconds / 1000 if milliseconds else None)
        tip = self._chain.tip
        return {"hash": tip.hash.hex(), "height": tip.height}
