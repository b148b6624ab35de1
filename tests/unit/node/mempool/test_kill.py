"""kill -9 at any moment: whatever was answered is there again. The oracle is what the child's answers said."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
COINS = 4000

CHILD = """
import asyncio, importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("kit", sys.argv[1])
kit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kit)

def tell(*words):
    print(*words, flush=True)

async def main():
    chain, money = kit.with_coins(int(sys.argv[3]))
    pool = kit.Mempool(chain, kit.MempoolPolicy(), verify=kit.verify_scripts, directory=Path(sys.argv[2]))
    await pool.load()
    tell("loaded", len(pool))

    async def accept(number):
        tx = money.spend(money.points[number], fee=1000)
        await pool.accept(tx)
        tell("accepted", tx.id.hex())
        if number % 3 == 0:
            await pool.prioritise(tx.id, number + 1)
            tell("delta", tx.id.hex(), number + 1)

    first = int(sys.argv[4])
    for start in range(first, first + 1000, 10):
        saving = asyncio.create_task(pool.save())
        await asyncio.gather(*(accept(number) for number in range(start, start + 10)))
        await saving

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def kit() -> Any:
    spec = importlib.util.spec_from_file_location("kit", CONFTEST)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def until_killed(directory: Path, first: int, answers: int) -> tuple[int, list[list[str]]]:
    """Run a child until it has given so many answers, kill it in the middle of what it does then, and return how many
    transactions it had loaded and all that it had answered."""
    arguments = [str(CONFTEST), str(directory), str(COINS), str(first)]
    child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    loaded = int(child.stdout.readline().split()[1])
    heard = [child.stdout.readline() for _ in range(answers)]
    child.kill()
    heard += child.stdout.readlines()
    child.wait(10)
    child.stdout.close()
    # the last line may have been cut off in the middle
    return loaded, [line.split() for line in heard if line.endswith("\n")]


@pytest.mark.parametrize("seed", range(3))
def test_what_was_answered_is_there(tmp_path: Path, seed: int, kit: Any, run: Callable[[Any], Any]) -> None:
    random = Random(seed)
    accepted: set[str] = set()
    deltas: dict[str, int] = {}
    for life in range(4):
        loaded, answers = until_killed(tmp_path, life * 1000, random.randrange(1, 120))
        assert loaded >= len(accepted)
        for what, *words in answers:
            if what == "accepted":
                accepted.add(words[0])
            else:
                deltas[words[0]] = int(words[1])
    chain, _ = kit.with_coins(COINS)
    pool = kit.Mempool(chain, kit.MempoolPolicy(), verify=kit.verify_scripts, directory=tmp_path)
    run(pool.load())
    assert accepted <= {entry.txid.hex() for entry in pool.entries()}
    assert deltas.items() <= {txid.hex(): delta for txid, delta in pool.prioritised().items()}.items()
    assert accepted
    run(pool.close())
