"""``status --wait``: until each unit is ready, or has failed, telling a person at a terminal how far it is, and
everybody what a unit is held by."""

import sys
import time

from bitcoind_mp.config.instances import PREFIX, instance

from .exchange import UNIT_TOPIC, NoServer
from .following import follow
from .progress import READY, Progress, doing, units_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from bitcoind_mp.config import Config

#: States of a unit from which nothing leads to another by itself but an end that nobody foresees.
_SETTLED = (*READY, "stopped", "failed")


def wait_for_units(config: "Config", units: "list[str]") -> bool:
    """Wait for these units, with none named for all; whether each is ready. A unit that is stopped and wasn't named
    counts for nothing: nobody wants it up. With -rpcclienttimeout it gives up after that time.

    Raises:
        NoServer: there is no supervisor, or it has ended, or time is up.
    """
    limit = config.get_seconds("rpcclienttimeout") if config.is_set("rpcclienttimeout") else 0
    deadline = time.monotonic() + limit if limit else None
    progress = Progress(sys.stderr)
    # A wallet's unit may be named by the wallet's name as people write it.
    units = units + [PREFIX + instance(unit.removeprefix(PREFIX)) for unit in units if unit.startswith(PREFIX)]

    def left() -> "float | None":
        if deadline is not None and deadline <= time.monotonic():
            raise TimeoutError
        return None if deadline is None else deadline - time.monotonic()

    try:
        told = follow(config, "events.subscribe", UNIT_TOPIC, "event.changed", left)
        return _wait(map(units_of, told), units, progress)
    except TimeoutError:
        raise NoServer(f"timeout: not ready within {limit:g} s: {progress.text or 'nothing was heard'}") from None
    except ConnectionError:
        raise NoServer("The supervisor has ended.") from None
    finally:
        progress.end()


def _wait(told: "Iterator[list[dict[str, Any]]]", units: "list[str]", progress: Progress) -> bool:
    for lines in told:
        chosen = [line for line in lines if line["name"] in units] if units else lines
        if units and not chosen:
            raise NoServer(f"There is no unit named {units[0]!r}: see status")
        if all(line["state"] in _SETTLED for line in chosen):
            return all(line["state"] in READY or (not units and line["state"] == "stopped") for line in chosen)
        for line in chosen:
            if line["state"] == "held":
                progress.tell(
                    f"{line['name']} is held, and starts by itself once what is in its way is gone: {line['reason']}"
                )
        progress.show(", ".join(map(doing, chosen)))
    raise AssertionError("they are followed until that fails")
