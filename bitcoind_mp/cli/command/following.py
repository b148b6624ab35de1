"""Following what the supervisor tells, on a connection of its own, until that ends: logs, events, units' states.

What is followed, and how each piece is printed, is the callers' (``supervision.py``, ``events.py``, ``waiting.py``).
"""

import sys

from bitcoind_mp.cli.jsontext import parse

from .absent import nobody_text
from .exchange import NoServer, result_of, subscribed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from bitcoind_mp.config import Config


def follow(
    config: "Config",
    method: str,
    params: str,
    told: str,
    left: "Callable[[], float | None]" = lambda: None,
) -> "Iterator[Any]":
    """What it tells by ``told`` once it was asked by ``method`` with these ``params``; ``left`` is for how many seconds
    more to wait for the next, None for ever.

    Raises:
        NoServer: there is no supervisor.
        ConnectionError: it has ended.
        TimeoutError, Refused
    """
    connection = subscribed(config, method, params)
    if connection is None:
        raise NoServer(nobody_text(config))
    try:
        while True:
            message = parse(connection.receive(left()).decode("utf-8", "surrogateescape"))
            if "method" not in message:
                result_of(message)
            elif message["method"] == told:
                yield message["params"]
    finally:
        connection.close()


def show_each(told: "Iterator[Any]", show: "Callable[[Any], None]") -> int:
    """Show what is followed until the supervisor ends, and then say so; the exit status."""
    try:
        for params in told:
            show(params)
    except BrokenPipeError:  # of those that read what we print
        raise
    except ConnectionError:
        print("The supervisor has ended.", file=sys.stderr)
    return 1
