"""The supervisor as it is, with `worker.py` for its node and wallet: ``supervisor.py OPTIONS``.

What each worker is to do wrong is in ``$FAKE_PLANS/node.json`` and ``wallet.json``. With ``$FAKE_PRELOAD`` it is forked
from a preloaded process.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.supervisor import plan
from bitcoind_mp.supervisor.__main__ import run

HERE = Path(__file__).resolve().parent
#: What is wrong with the program on disk, as one that is to take over finds it.
BROKEN = Path(os.environ["FAKE_PLANS"], "broken")
if BROKEN.exists():
    sys.exit(BROKEN.read_text())


def plans(config: Config) -> list[plan.Plan]:
    where = Path(os.environ["FAKE_PLANS"])
    preload = os.environ.get("FAKE_PRELOAD", "")
    how = ("-P", "-m", preload) if preload else ("-I", "-S", str(HERE / "worker.py"))
    return [
        replace(each, argv=(sys.executable, *how, each.name, str(where / f"{each.name}.json")), preload=preload)
        for each in plan.units(config)
    ]


sys.exit(run(sys.argv[1:], plans))
