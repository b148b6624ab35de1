"""The supervisor as it is, with `worker.py` for its node and wallet: ``supervisor.py OPTIONS``.

What each worker is to do wrong is in ``$FAKE_PLANS/node.json`` and ``wallet.json``.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.supervisor import plan
from bitcoind_mp.supervisor.__main__ import run

HERE = Path(__file__).resolve().parent


def plans(config: Config) -> list[plan.Plan]:
    where = Path(os.environ["FAKE_PLANS"])
    fake = (sys.executable, "-I", "-S", str(HERE / "worker.py"))
    return [replace(each, argv=(*fake, each.name, str(where / f"{each.name}.json"))) for each in plan.units(config)]


sys.exit(run(sys.argv[1:], plans))
