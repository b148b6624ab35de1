"""Finding a nonce, giving up, and being stopped."""

import asyncio
from typing import Any

import pytest
from btclib.block.block import Block

from bitcoind_mp.node.mining.assembler import template
from bitcoind_mp.node.mining.miner import mine

#: a target that nothing here meets
HOPELESS = bytes.fromhex("0000011d")


def unsolved(chain: Any, bits: bytes) -> bytes:
    block = template(chain, None).block()
    return block[:72] + bits + block[76:]


def test_a_regtest_block_is_found_at_once(run: Any, chain: Any) -> None:
    for _ in range(20):
        chain.mine()
        block, tried = run(mine(template(chain, None).block()))
        assert block is not None
        assert tried < 100
        Block.parse(block, check_validity=False).assert_valid(b"\x20\x7f\xff\xff")


def test_it_starts_at_nonce_zero_and_counts_what_it_tried(run: Any, chain: Any) -> None:
    block, tried = run(mine(template(chain, None).block()))
    assert int.from_bytes(block[76:80], "little") == tried


def test_a_harder_block_takes_the_thread(run: Any, chain: Any) -> None:
    block, tried = run(mine(unsolved(chain, bytes.fromhex("ff7f001f")), 10_000_000))
    assert block is not None
    assert tried > 500
    assert Block.parse(block, check_validity=False).header.hash < bytes.fromhex("00008000") + bytes(28)


@pytest.mark.parametrize("tries", [0, 1, 499, 500, 501, 150_001])
def test_it_gives_up_after_so_many(run: Any, chain: Any, tries: int) -> None:
    assert run(mine(unsolved(chain, HOPELESS), tries)) == (None, tries)


def test_no_more_tries_than_asked_for(run: Any, chain: Any) -> None:
    """The nonce that would do is the last one allowed, or the one after it."""
    for _ in range(50):
        chain.mine()
        unsolved_block = template(chain, None).block()
        _, tried = run(mine(unsolved_block))
        assert run(mine(unsolved_block, tried + 1))[0] is not None
        assert run(mine(unsolved_block, tried))[0] is None


def test_cancelling_stops_it_and_the_loop_lives_meanwhile(run: Any, chain: Any) -> None:
    async def main() -> int:
        search = asyncio.create_task(mine(unsolved(chain, HOPELESS), 1 << 32))
        turns = 0
        async with asyncio.timeout(10):
            while turns < 20:
                await asyncio.sleep(0.001)
                turns += 1
            search.cancel()
            with pytest.raises(asyncio.CancelledError):
                await search
        return turns

    assert run(main()) == 20
