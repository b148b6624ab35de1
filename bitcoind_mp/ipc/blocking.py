"""One call on a plain blocking socket, for the one-shot command line: as few imports as can be."""

from typing import Any


def call(path: str, method: str, params: Any = (), *, wallet: str | None = None, timeout: float = 900.0) -> Any:
    """Call a command and return its result as plain JSON values (numbers with a fraction are Decimals).

    Raises `RpcError`, `Disconnected`, `CallTimeout`, or OSError where nobody listens."""
    raise NotImplementedError
