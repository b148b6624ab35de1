"""An interface's methods as calls on a session: whoever holds a proxy can't tell it from the object itself."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .declared.signature import declared
from .declared.values import Values

if TYPE_CHECKING:
    from .session import Session

T = TypeVar("T")


class Remote:
    """What every proxy has besides its interface's methods."""

    def __init__(self, session: "Session", timeout: float | None, target: int) -> None:
        self._session = session
        self._timeout = timeout
        self._target = target


def proxy(interface: type[T], session: "Session", *, timeout: float | None = None, target: int = 0) -> T:
    """An instance of the abstract class whose methods call the other side of ``session``.

    ``timeout`` in seconds for each call (None: the session's); ``target`` is the number of an object that the other
    side serves on this connection alone. A parameter annotated with an interface class is served on the session and
    called back, one call at a time. Raises what `Session.call` raises; a result that isn't what the signature
    promises raises RpcError INTERNAL_ERROR.
    """
    abstract: Any = interface
    return cast(T, _proxy_class(abstract)(session, timeout, target))


def on_disconnect(remote: Any, callback: Callable[[], None]) -> Callable[[], None]:
    """Call back when the connection under a proxy ends (never, for an object that is local). Returns what undoes it.

    This is how whoever keeps a subscriber (a Follower, an EventSink) learns that it is gone."""
    if isinstance(remote, Remote):
        return remote._session.on_end(callback)
    return lambda: None


def hang_up(remote: Any) -> None:
    """End the connection under a proxy at once (nothing to do for an object that is local)."""
    if isinstance(remote, Remote):
        remote._session.abort()


def set_timeout(remote: Any, seconds: float) -> None:
    """Give the other side ``seconds`` for each call of this proxy (nothing to do for an object that is local)."""
    if isinstance(remote, Remote):
        remote._timeout = seconds


#: Seconds that whoever is told something has for its acknowledgement: it may have much to do first.
_PATIENCE = 3600.0


def attend(remote: Any, callback: Callable[[], None]) -> Callable[[], None]:
    """`on_disconnect`, with an hour for each acknowledgement."""
    set_timeout(remote, _PATIENCE)
    return on_disconnect(remote, callback)


@cache
def _proxy_class(interface: type) -> "Callable[[Session, float | None, int], Any]":
    methods = {name: _method(Values(method)) for name, method in declared(interface).items()}
    return type(f"{interface.__name__}Proxy", (Remote, interface), methods)


def _method(values: Values) -> Callable[..., Any]:
    """One method: bind as the signature says, cross, convert what comes back."""
    method = values.method
    name = method.name
    parameters = method.parameters
    positions = {parameter.name: index for index, parameter in enumerate(parameters)}
    optional = [parameter.default for parameter in parameters]
    least = sum(parameter.required for parameter in parameters)
    plain = not any(values.callbacks)

    def bind(arguments: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        if not named and least <= len(arguments) <= len(parameters):
            return [*arguments, *optional[len(arguments) :]]
        bound: list[Any] = [*arguments, *optional[len(arguments) :]]
        given = set(range(len(arguments)))
        for key, value in named.items():
            if key not in positions or positions[key] in given:
                raise TypeError(f"{name}() got an unexpected or second argument {key!r}")
            bound[positions[key]] = value
            given.add(positions[key])
        if len(bound) > len(parameters) or any(p.required and i not in given for i, p in enumerate(parameters)):
            raise TypeError(f"{name}() takes {', '.join(positions) or 'no arguments'}")
        return bound

    async def call(self: Remote, *arguments: Any, **named: Any) -> Any:
        bound = bind(arguments, named)
        params = bound if plain else values.to_wire(bound, self._session)
        answer = await self._session.call(name, params, timeout=self._timeout, target=self._target)
        return values.result(answer)

    async def notify(self: Remote, *arguments: Any, **named: Any) -> None:
        await self._session.notify(name, bind(arguments, named), target=self._target)

    function = notify if method.declaration.notification else call
    function.__name__ = function.__qualname__ = name.rpartition(".")[2]
    function.__doc__ = method.doc.description
    return function
