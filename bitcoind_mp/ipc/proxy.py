"""An interface's methods as calls on a session."""

from collections.abc import Callable
from typing import Any, TypeVar

from .session import Session

T = TypeVar("T")


def proxy(interface: type[T], session: Session, *, timeout: float | None = None) -> T:
    """An instance of the abstract class whose methods call the other side of ``session``.

    Raises what `Session.call` raises; a result that isn't what the signature says raises RpcError INTERNAL_ERROR.
    A parameter annotated with an interface class is served on the session and called back, one call at a time.
    """
    raise NotImplementedError


def on_disconnect(remote: Any, callback: Callable[[], None]) -> Callable[[], None]:
    """Call back when the connection under a proxy ends (never, for an object that is local). Returns what undoes it.

    This is how whoever keeps a subscriber (a Follower, an EventSink) learns that it is gone."""
    raise NotImplementedError
