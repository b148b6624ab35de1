"""How far ahead of its acknowledgements a follower is told."""

import asyncio
import gc
import logging

import pytest

from bitcoind_mp.interfaces.errors import Disconnected
from bitcoind_mp.node.streams import Window


def test_a_connection_that_ends_under_calls_that_were_given_up_is_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    """One that waits until it may write hears of the end before it hears that it was cancelled: else each were a
    traceback in the log."""

    async def lost() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise Disconnected("The connection was lost") from None

    async def story() -> None:
        window = Window(lambda: None)
        for _ in range(8):
            window.send(lost())
        await asyncio.sleep(0)
        window.cancel()
        for _ in range(3):
            await asyncio.sleep(0)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(story())
        gc.collect()
    assert "never retrieved" not in caplog.text


def test_what_a_call_raised_is_raised_for_whoever_looks() -> None:
    async def lost() -> None:
        raise Disconnected("The connection was lost")

    async def story() -> None:
        window = Window(lambda: None)
        window.send(lost())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(Disconnected):
            window.check()

    asyncio.run(story())
