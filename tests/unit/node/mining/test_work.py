"""When the next block may be, and its target."""

import json
from pathlib import Path
from typing import Any

from bitcoind_mp.node.chain.params import params_for
from bitcoind_mp.node.mining.work import block_time, minimum_time, next_bits


def test_not_before_the_median(chain: Any) -> None:
    assert minimum_time(chain) == chain.tip.median_time + 1


def test_no_warp_at_a_period_boundary(chain: Any) -> None:
    while chain.tip.height % 144 != 143:
        chain.mine()
    chain.mine()
    assert minimum_time(chain) == chain.tip.median_time + 1
    while chain.tip.height % 144 != 142:
        chain.mine()
    chain.mine(time=chain.tip.time + 100_000)
    assert minimum_time(chain) == chain.tip.time - 600


def test_the_clock_counts(chain: Any) -> None:
    chain.clock.time = chain.tip.time + 1
    assert block_time(chain) == chain.tip.time + 1
    chain.clock.time = 1
    assert block_time(chain) == minimum_time(chain)


def test_regtest_never_retargets(chain: Any) -> None:
    while chain.tip.height < 290:
        assert next_bits(chain, block_time(chain)) == 0x207FFFFF
        chain.mine()


class MainChain:
    """Headers of the alternative main chain in Core's test data."""

    def __init__(self, make: Any, times: list[int]) -> None:
        self.params = params_for("main")
        self.blocks = [make(self.params.genesis_raw[:80], None, [])]
        for serial, time in enumerate(times):
            header = bytearray(self.blocks[0].header)
            header[4:36] = self.blocks[-1].hash[::-1]
            header[36:68] = serial.to_bytes(32, "big")
            header[68:72] = time.to_bytes(4, "little")
            self.blocks.append(make(bytes(header), self.blocks[-1], []))

    @property
    def tip(self) -> Any:
        return self.blocks[-1]

    def by_hash(self, hash: bytes) -> Any:
        return next((block for block in self.blocks if block.hash == hash), None)


def test_main_retargets_after_two_weeks_of_blocks(vectors: Path, chain: Any) -> None:
    times = json.loads((vectors / "core-data" / "mainnet_alt.json").read_text())["timestamps"]
    fast = MainChain(type(chain.tip), times[:2015])
    # mined two minutes apart: four times as hard is the most that one step may ask for
    assert next_bits(fast, fast.tip.time + 1) < fast.tip.bits
    assert next_bits(MainChain(type(chain.tip), times[:2014]), times[2014]) == 0x1D00FFFF
