"""What a server's sessions have in common; one that has no server has it for itself. It loads nothing that serves."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .registry import Table

#: Core's words for a method that there isn't.
UNKNOWN = "Method not found"


class Shared:
    """The table of methods, the bytes that the sessions hold, the calls that run.

    While ``warmup`` holds a text, commands are refused with it (Core's -28); ``unknown`` is what methods are that there
    aren't, and ``on_unknown`` is told the name of each that is called. ``batches``: whether several requests may come
    in one message, as people's may; of ours none do."""

    def __init__(
        self, table: "Table | None" = None, warmup: str = "", unknown: str = UNKNOWN, *, batches: bool = False
    ) -> None:
        self.table: Table = {} if table is None else table
        self.warmup = warmup
        self.unknown = unknown
        self.batches = batches
        self.on_unknown: Callable[[str], None] = lambda _: None
        self.held = 0
        self.running: set[asyncio.Task[Any]] = set()
        self.leaving = self.closing = False
        """The server is on its way out; and takes up nothing more at all."""
