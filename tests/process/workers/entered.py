"""The supervisor as it is, with an intruder (`probed.py`) in each wallet's process that it starts: ``entered.py
OPTIONS``."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bitcoind_mp.supervisor import plan
from bitcoind_mp.supervisor.__main__ import run

PROBED = Path(__file__).resolve().parent / "probed.py"
_as_it_is = plan._unit


def _entered(config: Any, role: str, *more: str, **how: Any) -> plan.Plan:
    made = _as_it_is(config, role, *more, **how)
    if role != "wallet":
        return made
    arguments = made.argv[made.argv.index("bitcoind_mp.wallet") + 1 :]
    return replace(made, argv=(sys.executable, "-P", str(PROBED), "wallet", *arguments), preload="")


plan._unit = _entered
sys.exit(run(sys.argv[1:]))
