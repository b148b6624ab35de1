"""Signals for soft forks, as Core's regtest has them."""

from pathlib import Path
from typing import Any

from btclib.block.block import Block

from bitcoind_mp.node.mining.versionbits import State, block_version, deployments, since, state

SIGNAL = 0x30000000


def test_only_regtest_has_one_open() -> None:
    assert [each.name for each in deployments("regtest")] == ["testdummy"]
    assert deployments("main") == deployments("signet") == ()


def test_blocks_that_core_made_have_the_versions_we_would_give_them(vectors: Path, chain: Any) -> None:
    fresh = type(chain)()
    versions = []
    for line in (vectors / "regtest-206-blocks.hex").read_text().split():
        raw = bytes.fromhex(line)
        expected = block_version(fresh)
        fresh.connect(raw[:80], list(Block.parse(raw, check_validity=False).transactions))
        assert fresh.tip.version == expected, fresh.tip.height
        versions.append(expected)
    assert versions[0] == 0x20000000
    assert versions[-1] == SIGNAL


def test_the_four_states(chain: Any) -> None:
    (testdummy,) = deployments("regtest")
    fresh = type(chain)()
    seen = []
    while fresh.tip.height < 600:
        now = state(testdummy, fresh, fresh.tip.height + 1)
        if not seen or seen[-1][1] is not now:
            seen.append((fresh.tip.height + 1, now))
        assert since(testdummy, fresh, fresh.tip.height + 1) == seen[-1][0] or fresh.tip.height < 143
        fresh.mine(version=block_version(fresh))
    assert seen == [(1, State.DEFINED), (144, State.STARTED), (288, State.LOCKED_IN), (432, State.ACTIVE)]
    assert block_version(fresh) == 0x20000000


def test_too_few_signals_lock_nothing_in(chain: Any) -> None:
    (testdummy,) = deployments("regtest")
    fresh = type(chain)()
    while fresh.tip.height < 300:
        fresh.mine(version=SIGNAL if fresh.tip.height % 144 < 107 else 0x20000000)
    assert state(testdummy, fresh, 301) is State.STARTED
    fresh = type(chain)()
    while fresh.tip.height < 300:
        fresh.mine(version=SIGNAL if fresh.tip.height % 144 < 108 else 0x20000000)
    assert state(testdummy, fresh, 301) is State.LOCKED_IN
