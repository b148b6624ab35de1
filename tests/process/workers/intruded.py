"""The real supervisor over the real workers, with an intruder in each (``probed.py``): ``intruded.py OPTIONS``."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from bitcoind_mp.config import Config
from bitcoind_mp.supervisor import plan
from bitcoind_mp.supervisor.__main__ import run

PROBED = str(Path(__file__).resolve().parent / "probed.py")


def intruded(config: Config, role: str, *more: str, enabled: bool = True) -> plan.Plan:
    """As it is, but for the program, which is executed anew each time."""
    made = planned(config, role, *more, enabled=enabled)
    options = made.argv[made.argv.index("-m") + 2 :]
    return replace(made, argv=(sys.executable, PROBED, role, *options), preload="")


planned = plan._unit
plan._unit = intruded

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
