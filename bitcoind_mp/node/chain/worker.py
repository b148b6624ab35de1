"""The kernel's one thread, and how the loop asks it for something.

Jobs run in the order they were asked for. What the jobs tell the loop on the way (`post`) arrives in that order too,
and before the job's own answer.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds (``-kernelpatience``)."""


@dataclass
class _Job:
    what: str
    call: Callable[[], Any]
    answer: asyncio.Future[Any]


class KernelThread:
    """Runs blocking calls one after the other, off the loop.

    The thread is a daemon: a call that never returns can't keep the process from exiting.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float = PATIENCE) -> None:
        """``patience``: seconds after which a call that has told nothing is held to hang."""
        self.patience = patience
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._running: tuple[str, float] | None = None
        self._heard = 0.0
        self._waiting = 0
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name="kernel", daemon=True)
        self._thread.start()

    async def run(self, what: str, call: Callable[[], T]) -> T:
        """The call's result. ``what`` names it in a health report. A caller that is cancelled doesn't wait for it;
        a call that has begun runs to its end."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        self._jobs.put(_Job(what, call, answer))
        return await answer

    def post(self, call: Callable[..., None], *arguments: object) -> None:
        """Have the loop call this; from the thread."""
        self._heard = monotonic()
        self._loop.call_soon_threadsafe(call, *arguments)

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return self._waiting == 0

    @property
    def busy(self) -> tuple[str, float] | None:
        """What runs now and for how many seconds; None if nothing does."""
        running = self._running
        return (running[0], monotonic() - running[1]) if running is not None else None

    @property
    def silent(self) -> float:
        """For how many seconds what runs now has told nothing, from its begin on; 0 if nothing runs. A call may connect
        thousands of blocks, and tells of each."""
        running = self._running
        return monotonic() - max(running[1], self._heard) if running is not None else 0.0

    async def close(self) -> None:
        """End the thread after what waits. Nothing may be asked any more."""
        self._jobs.put(None)
        await self._ended.wait()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.answer.cancelled():
                self._settle(job, None, None)
                continue
            result: object = None
            failure: BaseException | None = None
            self._running = (job.what, monotonic())
            try:
                result = job.call()
            except BaseException as error:  # noqa: BLE001 - the asker gets it, whatever it is
                failure = error
            self._running = None
            self._settle(job, result, failure)
        self._loop.call_soon_threadsafe(self._ended.set)

    def _settle(self, job: _Job, result: object, error: BaseException | None) -> None:
        def settle() -> None:
            self._waiting -= 1
            if job.answer.cancelled():
                return
            if error is not None:
                job.answer.set_exception(error)
            else:
                job.answer.set_result(result)

        self._loop.call_soon_threadsafe(settle)
