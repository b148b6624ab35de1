"""Calls being served: their tasks, what may cancel them, and those that must run one after another."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

from bitcoind_mp.interfaces.command import SERVED_CALL

from .incoming import Incoming

#: called with the request and its task when that is done
Finished = Callable[[Incoming, "asyncio.Task[Any]"], None]


class Running:
    """One session's calls that are being served. ``everywhere`` is the server's set of all such tasks: a call past its
    commit point outlives its session."""

    def __init__(self, finished: Finished, everywhere: "set[asyncio.Task[Any]]") -> None:
        self._finished = finished
        self._everywhere = everywhere
        self._tasks: dict[asyncio.Task[Any], Incoming] = {}
        #: calls that wait in a `Queue`
        self.queued = 0

    def __len__(self) -> int:
        return len(self._tasks) + self.queued

    def start(self, incoming: Incoming, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run ``work`` for a request, with `commit_point` at its service."""
        context = copy_context()
        context.run(SERVED_CALL.set, incoming)
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks[task] = incoming
        self._everywhere.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._everywhere.discard(task)
        self._finished(self._tasks.pop(task), task)

    def cancel(self, identity: Any) -> None:
        """Cancel the request of that id: at once, or where it has passed its commit point at its next pause point."""
        for task, incoming in self._tasks.items():
            if incoming.identity == identity:
                _cancel(task, incoming)

    def let_end(self, recently: float) -> "list[asyncio.Task[Any]]":
        """Those that end by themselves soon. Such as may wait long for something are cancelled, unless they began after
        ``recently`` (monotonic seconds)."""
        ending = []
        for task, incoming in self._tasks.items():
            if not incoming.waits or incoming.started > recently:
                ending.append(task)
            elif not incoming.unwanted:
                _cancel(task, incoming)
        return ending

    def cancel_all(self) -> None:
        """Cancel all, each as `cancel` does."""
        for task, incoming in self._tasks.items():
            _cancel(task, incoming)


def _cancel(task: "asyncio.Task[Any]", incoming: Incoming) -> None:
    incoming.unwanted = True
    if not incoming.committed:
        task.cancel()


class Queue:
    """Calls to one object that run one at a time, in the order they came (a follower's)."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._waiting: deque[Incoming] = deque()
        self._current: asyncio.Task[Any] | None = None

    def add(self, incoming: Incoming) -> None:
        """Run it when those before it are done."""
        self._waiting.append(incoming)
        self._running.queued += 1
        if self._current is None:
            self._next()

    def _next(self, _: Any = None) -> None:
        self._current = None
        if self._waiting:
            incoming = self._waiting.popleft()
            self._running.queued -= 1
            assert incoming.pending is not None
            self._current = self._running.start(incoming, incoming.pending)
            self._current.add_done_callback(self._next)

    def drop(self) -> None:
        """Forget those that haven't begun."""
        while self._waiting:
            incoming = self._waiting.popleft()
            self._running.queued -= 1
            if incoming.pending is not None:
                incoming.pending.close()
