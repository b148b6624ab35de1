"""The serving half of a session: requests taken up, run, answered. Imported when there is something to serve.

``dispatch`` takes a request apart and calls its handler; here is when: how many at once and in a turn, what waits, in
which order, and what becomes of it when the other side is slow, cancels, or goes.
"""

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from jsonrpcserver.result import SuccessResult
from jsonrpcserver.sentinels import NOID
from oslash.either import Left, Right

from bitcoind_mp.interfaces.errors import SHUTTING_DOWN, Disconnected, RpcCode
from bitcoind_mp.ipc.limits import LARGE_REPLY, MAX_BACKLOG, MAX_REPLY, MAX_RUNNING, REQUESTS_A_TURN, WRITE_HIGH_WATER

from .dispatch import Dispatcher, answer, refused, reply_text
from .incoming import Incoming, refusal
from .redact import shown_params
from .registry import Table, collect
from .running import Queue, Running
from .shared import Shared

if TYPE_CHECKING:
    from bitcoind_mp.ipc.session import Link, Session

logger = logging.getLogger("bitcoind_mp.ipc")

#: What is said of a call that was ended after it had begun to take effect.
_CUT_SHORT = "It was ended by a shutdown when it had begun to take effect. Whether all of it did is unknown."


class Serving:
    """Serves one session's requests from ``shared``'s table, and from the objects served on this connection alone."""

    def __init__(self, session: "Session", link: "Link", shared: Shared) -> None:
        self._session = session
        self._link = link
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._dispatcher = Dispatcher(session, shared)
        self._running = Running(self._finished, shared.running)
        self._objects: dict[int, tuple[object, Table, Queue]] = {}
        self._numbers: dict[int, int] = {}
        self._backlog: deque[tuple[Any, int]] = deque()
        self._backlog_size = 0
        self._writable = True
        self._reading_paused = False
        self._turn_scheduled = False
        self._turn_count = 0
        self._out: list[bytes] | None = None
        self._out_size = 0
        self._half_closed = False
        self.takes_no_more = False
        """Requests that come from now on are refused."""

    def serve(self, objects: tuple[object, ...]) -> int:
        """Serve these on this connection, under the number returned."""
        key = id(objects[0])
        if key not in self._numbers:
            table: Table = {}
            for instance in objects:
                table.update(collect(instance, self._shared))
            self._numbers[key] = number = len(self._numbers) + 1
            self._objects[number] = (objects, table, Queue(self._running))
        return self._numbers[key]

    # --- what the session tells

    def begin(self) -> None:
        """A turn: what is answered until `flush` is written at once."""
        self._turn_count = 0
        self._out, self._out_size = [], 0

    def flush(self) -> None:
        """End of the turn."""
        out, self._out, self._out_size = self._out, None, 0
        if out:
            out.append(b"")
            self._link.write(b"\n".join(out))

    def request(self, message: Any, size: int) -> None:
        """A message that is no response, of ``size`` bytes: taken up now, or when it is its turn."""
        if self.takes_no_more:
            self._turn_away(message)
            return
        if self._may_take() and not self._backlog:
            self._take(message)
            return
        self._backlog.append((message, size))
        self._backlog_size += size
        if self._backlog_size > MAX_BACKLOG and not self._reading_paused:
            self._reading_paused = True
            self._link.pause_reading()
        self._schedule_turn()

    def may_write(self, yes: bool) -> None:
        """The other side reads slowly: take up nothing; or reads again."""
        self._writable = yes
        self._schedule_turn()

    def half_closed(self) -> bool:
        """The other side will send no more. True: there are calls to answer yet, and then the link is closed."""
        self._half_closed = bool(len(self._running) or self._backlog)
        return self._half_closed

    @property
    def is_idle(self) -> bool:
        """Whether no request is here, and none that came has left anything."""
        return not (len(self._running) or self._backlog or self._objects or self._half_closed)

    def cancel(self, identity: Any) -> None:
        """The caller no longer wants the answer of that id."""
        self._running.cancel(identity)

    def let_end(self, recently: float) -> "list[asyncio.Task[Any]]":
        """See `Running.let_end`."""
        return self._running.let_end(recently)

    def cancel_all(self) -> None:
        """Cancel everything that hasn't passed its commit point."""
        self._running.cancel_all()

    def broken_off(self) -> None:
        """What came from the other side made no sense: take up nothing more."""
        self._backlog.clear()

    def ended(self) -> None:
        """The connection is gone."""
        self._backlog.clear()
        for _, _, queue in self._objects.values():
            queue.drop()
        self._running.cancel_all()

    # --- turns

    def _may_take(self) -> bool:
        return (
            self._turn_count < REQUESTS_A_TURN
            and len(self._running) < MAX_RUNNING
            and self._writable
            and self._out_size < WRITE_HIGH_WATER
        )

    def _schedule_turn(self) -> None:
        if self._backlog and not self._turn_scheduled:
            self._turn_scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_scheduled = False
        self.begin()
        while self._backlog and self._may_take():
            message, size = self._backlog.popleft()
            self._backlog_size -= size
            self._take(message)
        self.flush()
        if self._reading_paused and self._backlog_size <= MAX_BACKLOG // 2 and not self._session.reason:
            self._reading_paused = False
            self._session.read_on()
        if self._turn_count >= REQUESTS_A_TURN or (self._may_take() and self._backlog):
            self._schedule_turn()
        self._close_if_done()

    def _take(self, message: Any) -> None:
        """Serve one request, or a batch."""
        self._turn_count += 1
        if self._shared.closing:
            self._turn_away(message)
            return
        if type(message) is list and message and self._shared.batches:
            batch = Incoming(self._session, {"method": "(batch)"}, NOID)
            self._running.start(batch, self._batch(batch, message))
            return
        table, queue = self._table_for(message)
        response, incoming = self._dispatcher.dispatch(message, table)
        if incoming is None:
            self._send(reply_text(response))
            self._session.break_off(0, "The other side sent what is no request")
        elif incoming.pending is None:
            if response is not None:
                self._send(reply_text(response))
            if logger.isEnabledFor(logging.DEBUG):
                self._log_served(incoming, response)
        elif queue is None:
            self._running.start(incoming, incoming.pending)
        else:
            queue.add(incoming)

    def _turn_away(self, message: Any) -> None:
        """What came too late: nobody waits any more for what is begun now, and what it needs is closed under it."""
        replies = [
            reply_text(refused(RpcCode.CLIENT_NOT_CONNECTED, SHUTTING_DOWN, each["id"]))
            for each in (message if type(message) is list else [message])
            if type(each) is dict and "id" in each
        ]
        if replies:
            self._send(b"[" + b",".join(replies) + b"]" if type(message) is list else replies[0])

    def _table_for(self, message: Any) -> tuple[Table, Queue | None]:
        if self._objects and type(message) is dict and (number := message.get("object")) in self._objects:
            _, table, queue = self._objects[number]
            return table, queue
        return self._shared.table, None

    async def _batch(self, batch: Incoming, messages: list[Any]) -> None:
        """Serve a batch's members in order (as Core does), each answered for itself. A member's commit point holds to
        that member's end."""
        replies: list[bytes] = []
        size = 0
        for count, message in enumerate(messages, 1):
            table, _ = self._table_for(message)
            response, incoming = self._dispatcher.dispatch(message, table)
            if incoming is not None and incoming.pending is not None:
                response = answer(incoming, await self._outcome(incoming))
                batch.committed = False
                if self._session.closed.done():
                    return
            if response is not None:
                replies.append(reply_text(response))
                size += len(replies[-1])
            if size > MAX_REPLY:
                message = f"The batch's results are longer than the {MAX_REPLY} bytes that one reply may have"
                self._send(reply_text(refused(RpcCode.INTERNAL_ERROR, message)))
                return
            if count % REQUESTS_A_TURN == 0:
                await asyncio.sleep(0)
        if replies:
            self._send(b"[" + b",".join(replies) + b"]")

    @staticmethod
    async def _outcome(incoming: Incoming) -> Any:
        """A batch member's result."""
        assert incoming.pending is not None
        try:
            return Right(SuccessResult(await incoming.pending))
        except Exception as error:  # noqa: BLE001 (refusal logs it, secrets left out)
            return refusal(error, incoming)

    def _finished(self, incoming: Incoming, task: "asyncio.Task[Any]") -> None:
        """A handler's task is done: answer."""
        if task.cancelled():
            # Whoever hears SHUTTING_DOWN may ask the next process: nothing was done.
            nothing_done = SHUTTING_DOWN if self._shared.leaving else "Cancelled"
            result = refusal(Disconnected(_CUT_SHORT if incoming.has_done else nothing_done))
        elif (error := task.exception()) is not None:
            result = refusal(error, incoming)
        else:
            result = Right(SuccessResult(task.result()))
        if self._session.closed.done():
            return
        response = answer(incoming, result)
        if response is not None:
            self._send(reply_text(response))
        if logger.isEnabledFor(logging.DEBUG):
            self._log_served(incoming, response)
        self._schedule_turn()
        self._close_if_done()

    def _send(self, text: bytes) -> None:
        if len(text) > LARGE_REPLY:
            in_turn = self._out is not None
            self.flush()
            self._link.write(text)
            self._link.write(b"\n")
            self._out = [] if in_turn else None
        elif self._out is None:
            self._link.write(text + b"\n")
        else:
            self._out.append(text)
            self._out_size += len(text)

    def _close_if_done(self) -> None:
        if self._half_closed and not len(self._running) and not self._backlog:
            self._link.close()

    def _log_served(self, incoming: Incoming, response: Any) -> None:
        name = incoming.called.name if incoming.called is not None else repr(incoming.method[:60])
        outcome = f"error {response._error.code}" if isinstance(response, Left) else "ok"
        identity = "" if incoming.identity is NOID else incoming.identity
        params = shown_params(incoming.called, incoming.params)
        self._session.log_call("<-", identity, name, params, outcome, incoming.started)
