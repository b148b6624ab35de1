"""The tables of commands lie there for the front end whatever becomes of the processes that wrote them."""

import json
from collections.abc import Callable
from pathlib import Path

from harness import Daemon, wait_until

WORKERS = ("node", "wallet", "signer")


def table(daemon: Daemon, role: str) -> Path:
    return Path(daemon.socket(role)).with_suffix(".json")


def test_a_worker_that_starts_again_leaves_its_table_in_place_until_it_writes_it(
    make_daemon: Callable[..., Daemon],
) -> None:
    daemon = make_daemon("d", "-signerprocess")
    daemon.until_running(*WORKERS)
    for role in WORKERS:
        # Whoever had opened the file before the kill still has the one that is in place after it.
        with table(daemon, role).open() as before:
            killed = daemon.kill(role)
            wait_until(f"the {role} writes its table", lambda r=role, k=killed: pid_in(daemon, r) not in (k, None))
            daemon.until_running(*WORKERS)
            assert json.load(before)["pid"] == daemon.pid(role)


def pid_in(daemon: Daemon, role: str) -> int | None:
    try:
        return int(json.loads(table(daemon, role).read_text())["pid"])
    except (OSError, ValueError):
        return None  # half written, or removed
