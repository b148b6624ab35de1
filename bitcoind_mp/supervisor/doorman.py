"""Answers callers of a unit that is down and stays down, so that they don't wait in the kernel's queue for nobody.

While a unit starts or restarts its callers do wait there; that is what binding its socket once is for. One that is held
may be so for ever: its callers are told by what, and in the error's ``data``, ``{"held": true}``, that it will start by
itself.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from typing import Any

from bitcoind_mp.interfaces.errors import RpcCode

from .processes.private import Private
from .supervised import Supervised
from .units.states import AT_REST, State
from .units.unit import Unit

#: Where nobody comes to the door soon.
_AWAY = AT_REST | {State.HELD}

#: A caller that says nothing for so long (seconds) is let go without an answer.
_PATIENCE = 10.0
_LONGEST_REQUEST = 64 * 1024
_MOST_AT_ONCE = 64
#: Callers at all doors together. One more ends the oldest: they are to hold no more of our descriptors.
_MOST = 256
#: Seconds without taking anybody after that failed: what is wrong with a socket stays so, and would be seen at once.
_PAUSE = 1.0

#: The next connection that came in there, None for what is none. Raises OSError: there is none.
Take = Callable[[socket.socket], socket.socket | None]


def _accept(listener: socket.socket) -> socket.socket:
    return listener.accept()[0]


class Doorman:
    """Stands at the listening sockets of units at rest, and of those that are held; and where they take what is passed
    to them over a channel (``private``, ``take``). ``front_end`` is how a person calls ours so that it reaches this
    supervisor; ``stopping`` says that all is being stopped."""

    def __init__(
        self, front_end: str, private: Private, take: Take, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self._front_end = front_end
        self._loop = asyncio.get_running_loop()
        self._private = private
        self._take = take
        self._stopping = stopping
        self._at: dict[str, list[socket.socket]] = {}
        self._answering: set[asyncio.Task[Any]] = set()
        self._callers: dict[_Refusal, None] = {}

    def watch(self, supervised: Supervised, listener: socket.socket) -> None:
        """The unit's state is as it is now: stand at its door, or leave."""
        standing = supervised.name in self._at
        if supervised.unit.state in _AWAY and not standing:
            self._stand(supervised, listener, self._private.door(supervised.name))
        elif supervised.unit.state not in _AWAY and standing:
            self._leave(supervised.name)
        if supervised.unit.state in _AWAY:
            for connected in supervised.callers.leave():
                self._refuse(supervised, connected)

    def leave(self, supervised: Supervised) -> None:
        """That unit is no more."""
        if supervised.name in self._at:
            self._leave(supervised.name)

    def close(self) -> None:
        """Stand nowhere any more."""
        for name in list(self._at):
            self._leave(name)

    def _stand(self, supervised: Supervised, listener: socket.socket, door: int | None) -> None:
        ways: list[tuple[socket.socket, Take]] = [(listener.dup(), _accept)]
        if door is not None:
            ways.append((socket.socket(fileno=os.dup(door)), self._take))
        for place, take in ways:
            place.setblocking(False)
            self._loop.add_reader(place.fileno(), self._open, supervised, place, take)
        self._at[supervised.name] = [place for place, _ in ways]

    def _leave(self, name: str) -> None:
        for place in self._at.pop(name):
            self._loop.remove_reader(place.fileno())
            place.close()

    def _pause(self, supervised: Supervised, place: socket.socket, take: Take) -> None:
        """Stand elsewhere for a while, unless we have left by then."""

        def again() -> None:
            if place.fileno() >= 0:
                self._loop.add_reader(place.fileno(), self._open, supervised, place, take)

        self._loop.remove_reader(place.fileno())
        self._loop.call_later(_PAUSE, again)

    def _open(self, supervised: Supervised, place: socket.socket, take: Take) -> None:
        """Take what waits: callers that queued while the unit was still up, too."""
        for _ in range(_MOST_AT_ONCE):
            try:
                connected = take(place)
            except (BlockingIOError, ConnectionError):
                return
            except (OSError, EOFError):
                self._pause(supervised, place, take)
                return
            if connected is not None:
                self._refuse(supervised, connected)

    def _refuse(self, supervised: Supervised, connected: socket.socket) -> None:
        connected.setblocking(False)
        unit = supervised.unit
        stopping = unit.state is State.STOPPED and self._stopping()
        reason = "bitcoind-mp is stopping." if stopping else why_not(supervised.name, unit, self._front_end)
        answer = self._loop.connect_accepted_socket(
            lambda: _Refusal(reason, self._callers, held=unit.state is State.HELD), connected
        )
        task = self._loop.create_task(answer)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)


def why_not(name: str, unit: Unit, front_end: str) -> str:
    """Why nobody answers, and what to do."""
    why = unit.reason.rstrip(".")
    if unit.state is State.FAILED:
        return f"The {name} has failed: {why}. See: {front_end} logs {name}. Then: {front_end} start {name}"
    if unit.state is State.HELD:
        return (
            f"The {name} is held, and starts by itself once what is in its way is gone: {why}. "
            f"See: {front_end} status {name}"
        )
    return f"The {name} is stopped. Start it with: {front_end} start {name}"


class _Refusal(asyncio.Protocol):
    """One connection, among ``all``: the first request gets an error in answer, and that was it."""

    def __init__(self, reason: str, all: "dict[_Refusal, None]", *, held: bool) -> None:
        self._reason = reason
        self._all = all
        self._held = held
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, transport.abort)
        if len(self._all) >= _MOST:
            oldest = next(iter(self._all))
            del self._all[oldest]
            oldest._transport.abort()
        self._all[self] = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        line, end, _ = self._received.partition(b"\n")
        if end or len(self._received) > _LONGEST_REQUEST:
            self._transport.write(refusal(line, self._reason, held=self._held))
            self._transport.close()

    def connection_lost(self, exception: Exception | None) -> None:
        self._all.pop(self, None)
        self._timer.cancel()


def refusal(request: bytes, reason: str, *, held: bool = False) -> bytes:
    """The error reply to a request line, whatever it is."""
    try:
        message = json.loads(request)
    except (ValueError, RecursionError):
        message = None
    identity = message.get("id") if isinstance(message, dict) else None
    error: dict[str, Any] = {"code": int(RpcCode.CLIENT_NOT_CONNECTED), "message": reason}
    if held:
        error["data"] = {"held": True}
    return json.dumps({"jsonrpc": "2.0", "error": error, "id": identity}).encode() + b"\n"
