"""One connection on which both sides may call: concurrency, deadlines, cancellation. It sees bytes, but no socket.

A `Link` (``transport``) carries its bytes and tells it when it may write; ``jsonrpc`` keeps the calls it makes,
``dispatch`` and ``running`` serve those it gets.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from jsonrpcserver.result import SuccessResult
from jsonrpcserver.sentinels import NOID
from oslash.either import Left, Right

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode
from bitcoind_mp.interfaces.init import Hello

from .dispatch import Dispatcher, answer, refused, reply_text
from .encoding import NOT_JSON, decode
from .framing import Lines, LineTooLong
from .incoming import Incoming, refusal
from .jsonrpc import Calls, NotAResponse, Params, notification_line
from .limits import MAX_BACKLOG, MAX_REPLY, MAX_RUNNING, MAX_UNFINISHED, REQUESTS_A_TURN, SMALL_LINE, WRITE_HIGH_WATER
from .redact import shown_params
from .registry import Table, collect
from .running import Queue, Running
from .served import Gate

logger = logging.getLogger("bitcoind_mp.ipc")


class Link(Protocol):
    """What carries a session's bytes."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Shared:
    """What a server's sessions have in common: the table of methods, the bytes they hold, the calls that run."""

    def __init__(self, table: Table | None = None) -> None:
        self.table: Table = {} if table is None else table
        self.held = 0
        self.running: set[asyncio.Task[Any]] = set()
        self.closing = False


class Session:
    """One connection. ``peer`` is the other side's Hello once hands were shaken (None before); ``closed`` is done,
    never with an exception, when the connection is gone. ``limit`` is the longest line taken from the other side."""

    def __init__(
        self,
        link: Link,
        *,
        shared: Shared | None = None,
        number: int = 0,
        limit: int = MAX_REPLY,
        timeout: float = 30.0,
    ) -> None:
        self.peer: Hello | None = None
        self.number = number
        self.last_heard = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._link = link
        self._shared = shared or Shared()
        self._timeout = timeout
        self._lines = Lines(limit)
        self._calls = Calls()
        self._dispatcher = Dispatcher(self)
        self._running = Running(self._finished, self._shared.running)
        self._objects: dict[int, tuple[object, Table, Queue]] = {}
        self._numbers: dict[int, int] = {}
        self._progress: dict[Any, Callable[[str], None]] = {}
        self._endings: dict[int, Callable[[], None]] = {}
        self._endings_count = 0
        self._backlog: deque[tuple[Any, int]] = deque()
        self._backlog_size = 0
        self._reading_paused = False
        self._turn_scheduled = False
        self._turn_count = 0
        self._out: list[bytes] | None = None
        self._out_size = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._half_closed = False
        self._reason = ""

    @property
    def reason(self) -> str:
        """Why the connection ended, or is about to; empty while it is open."""
        return self._reason

    # --- calling

    async def call(
        self,
        method: str,
        params: Params = (),
        *,
        wallet: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
        target: int = 0,
        progress: Callable[[str], None] | None = None,
    ) -> Any:
        """Call the other side and wait for the answer (plain JSON values; numbers with a fraction are Decimals).

        ``timeout`` in seconds (None: the session's default). Cancelling the awaiting task, or the timeout, tells
        the other side to cancel the call too. ``target`` is the number of an object that the other side serves here.
        ``progress`` is called with the texts by which a long call tells how it gets on.

        Raises:
            RpcError: the other side refused, in its own words.
            Disconnected, CallTimeout: the outcome is unknown.
        """
        seconds = self._timeout if timeout is None else timeout
        if not self._writable.is_set():
            await self._until_writable(method, seconds)
        if self.closed.done():
            raise Disconnected(self._reason)
        future: asyncio.Future[Any] = self._loop.create_future()
        identity, line = self._calls.open(method, params, wallet, target, future)
        if progress is not None:
            self._progress[identity] = progress
        timer = self._loop.call_later(seconds, self._expire, identity, method, seconds)
        debug = logger.isEnabledFor(logging.DEBUG)
        started = time.monotonic() if debug else 0.0
        outcome = "abandoned"
        try:
            self._link.write(line)
            result = await future
            outcome = "ok"
            return result
        except asyncio.CancelledError:
            self._abandon(identity)
            raise
        except Exception as error:
            outcome = f"error {getattr(error, 'code', type(error).__name__)}"
            raise
        finally:
            timer.cancel()
            self._progress.pop(identity, None)
            if debug:
                self._log_line("->", identity, method, "", outcome, started)

    async def notify(self, method: str, params: Params = (), *, target: int = 0) -> None:
        """Send a notification; waits only while the connection's write buffer is full. Raises `Disconnected`."""
        if not self._writable.is_set():
            await self._until_writable(method, self._timeout)
        if self.closed.done():
            raise Disconnected(self._reason)
        self._link.write(notification_line(method, params, target))

    async def _until_writable(self, method: str, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._writable.wait(), seconds)
        except TimeoutError:
            raise CallTimeout(
                f"{method} could not be sent within {seconds:g} s: the other side does not read"
            ) from None

    def _expire(self, identity: int, method: str, seconds: float) -> None:
        future = self._calls.close(identity)
        if future is not None and not future.done():
            future.set_exception(CallTimeout(f"{method} was not answered within {seconds:g} s"))
            self._cancel_there(identity)

    def _abandon(self, identity: int) -> None:
        if self._calls.close(identity) is not None:
            self._cancel_there(identity)

    def _cancel_there(self, identity: int) -> None:
        if not self.closed.done():
            self._link.write(notification_line("rpc.cancel", {"id": identity}))

    # --- serving objects on this connection

    def serve(self, *objects: object) -> int:
        """Let the other side call these objects' interface methods, under the number returned. Calls to them run one
        at a time, in the order they came. An object served before keeps its number."""
        key = id(objects[0])
        if key not in self._numbers:
            table: Table = {}
            for instance in objects:
                table.update(collect(instance, Gate()))
            self._numbers[key] = number = len(self._numbers) + 1
            self._objects[number] = (objects, table, Queue(self._running))
        return self._numbers[key]

    def remote(self, interface: type, number: int) -> Any:
        """The object that the other side serves under that number, as a proxy; None for 0."""
        from .proxy import proxy

        return proxy(interface, self, target=number) if number else None

    def on_end(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when the connection ends. Returns what undoes it."""
        self._endings_count += 1
        number = self._endings_count
        self._endings[number] = callback

        def undo() -> None:
            self._endings.pop(number, None)

        return undo

    def progress_of(self, incoming: Incoming) -> Callable[[str], None]:
        """What tells the caller how a call that is being served gets on."""

        def tell(text: str) -> None:
            if not self.closed.done() and self._writable.is_set() and incoming.identity is not NOID:
                self._link.write(notification_line("call.progress", {"id": incoming.identity, "text": text}))

        return tell

    # --- what the link tells

    def received(self, data: bytes) -> None:
        """Bytes came."""
        self.last_heard = time.monotonic()
        before = self._lines.held
        try:
            lines = self._lines.feed(data)
        except LineTooLong:
            self._shared.held -= before
            self._break_off(RpcCode.INVALID_REQUEST, "A message longer than this side takes")
            return
        held = self._lines.held
        self._shared.held += held - before
        if self._shared.held > MAX_UNFINISHED and held > SMALL_LINE:
            self._break_off(RpcCode.INVALID_REQUEST, "Too much unfinished input on all connections together: try again")
            return
        self._turn_count = 0
        self._out, self._out_size = [], 0
        for line in lines:
            if line and line != b"\r" and not self._reason:
                self._line(line)
        self._flush()

    def ended(self, reason: str) -> None:
        """The connection is gone."""
        if self.closed.done():
            return
        self._reason = self._reason or reason
        self._shared.held -= self._lines.held
        self._lines.held = 0
        self._backlog.clear()
        self.closed.set_result(None)
        self._writable.set()
        for _, _, queue in self._objects.values():
            queue.drop()
        self._running.cancel_all()
        self._calls.fail(Disconnected(self._reason))
        endings, self._endings = list(self._endings.values()), {}
        for callback in endings:
            callback()

    def half_closed(self) -> bool:
        """The other side will send no more but still reads. True: keep the connection until its calls are answered."""
        self._half_closed = bool(len(self._running) or self._backlog)
        return self._half_closed

    def may_write(self, yes: bool) -> None:
        """The link's buffer is full, or has drained."""
        if yes:
            self._writable.set()
            self._schedule_turn()
        else:
            self._writable.clear()

    # --- messages

    def _line(self, line: bytes) -> None:
        try:
            message = decode(line)
        except NOT_JSON:
            self._break_off(RpcCode.PARSE_ERROR, "Parse error")
            return
        if type(message) is dict and "method" not in message and ("result" in message or "error" in message):
            self._response(message)
        elif self._may_take() and not self._backlog:
            self._take(message)
        else:
            self._backlog.append((message, len(line)))
            self._backlog_size += len(line)
            if self._backlog_size > MAX_BACKLOG and not self._reading_paused:
                self._reading_paused = True
                self._link.pause_reading()
            self._schedule_turn()

    def _response(self, message: dict[str, Any]) -> None:
        try:
            if self._calls.answered(message) is None and message.get("id") is None:
                logger.info("connection %d: the other side answered %s", self.number, message.get("error"))
        except NotAResponse as error:
            self._break_off(RpcCode.INVALID_REQUEST, f"Not a response: {error}")

    def _may_take(self) -> bool:
        return (
            self._turn_count < REQUESTS_A_TURN
            and len(self._running) < MAX_RUNNING
            and self._writable.is_set()
            and self._out_size < WRITE_HIGH_WATER
        )

    def _schedule_turn(self) -> None:
        if self._backlog and not self._turn_scheduled:
            self._turn_scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_scheduled = False
        self._turn_count = 0
        self._out, self._out_size = [], 0
        while self._backlog and self._may_take():
            message, size = self._backlog.popleft()
            self._backlog_size -= size
            self._take(message)
        self._flush()
        if self._reading_paused and self._backlog_size <= MAX_BACKLOG // 2 and not self._reason:
            self._reading_paused = False
            self._link.resume_reading()
        if self._turn_count >= REQUESTS_A_TURN or (self._may_take() and self._backlog):
            self._schedule_turn()
        self._close_if_done()

    def _take(self, message: Any) -> None:
        """Serve one request, or a batch."""
        self._turn_count += 1
        if type(message) is list and message:
            batch = Incoming(self, {"method": "(batch)"}, NOID)
            self._running.start(batch, self._batch(batch, message))
            return
        table, queue = self._table_for(message)
        response, incoming = self._dispatcher.dispatch(message, table)
        if incoming is None:
            self._send(reply_text(response))
            self._break_off(0, "")
        elif incoming.pending is None:
            if response is not None:
                self._send(reply_text(response))
            if logger.isEnabledFor(logging.DEBUG):
                self._log_served(incoming, response)
        elif queue is None:
            self._running.start(incoming, incoming.pending)
        else:
            queue.add(incoming)

    def _table_for(self, message: Any) -> tuple[Table, Queue | None]:
        if self._objects and type(message) is dict and (number := message.get("object")) in self._objects:
            _, table, queue = self._objects[number]
            return table, queue
        return self._shared.table, None

    async def _batch(self, batch: Incoming, messages: list[Any]) -> None:
        """Serve a batch's members in order (as Core does), each answered for itself. A member's commit point holds to
        that member's end."""
        replies: list[bytes] = []
        for count, message in enumerate(messages, 1):
            table, _ = self._table_for(message)
            response, incoming = self._dispatcher.dispatch(message, table)
            if incoming is not None and incoming.pending is not None:
                response = answer(incoming, await self._outcome(incoming))
                batch.committed = False
                if self.closed.done():
                    return
            if response is not None:
                replies.append(reply_text(response))
            if count % REQUESTS_A_TURN == 0:
                await asyncio.sleep(0)
        size = sum(map(len, replies))
        if size > MAX_REPLY:
            replies = [reply_text(refused(RpcCode.INTERNAL_ERROR, f"The batch's results have {size} bytes"))]
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
            result = refusal(Disconnected("Shutting down" if self._shared.closing else "Cancelled"))
        elif (error := task.exception()) is not None:
            result = refusal(error, incoming)
        else:
            result = Right(SuccessResult(task.result()))
        if self.closed.done():
            return
        response = answer(incoming, result)
        if response is not None:
            self._send(reply_text(response))
        if logger.isEnabledFor(logging.DEBUG):
            self._log_served(incoming, response)
        self._schedule_turn()
        self._close_if_done()

    # --- writing and closing

    def _send(self, text: bytes) -> None:
        if self._out is None:
            self._link.write(text + b"\n")
        else:
            self._out.append(text)
            self._out_size += len(text)

    def _flush(self) -> None:
        out, self._out, self._out_size = self._out, None, 0
        if out:
            out.append(b"")
            self._link.write(b"\n".join(out))

    def _break_off(self, code: int, message: str) -> None:
        """The other side sent what can't be understood: say so and disconnect, at once for what is running."""
        if self._reason:
            return
        if code:
            self._send(reply_text(refused(code, message)))
        self._reason = message or "The other side sent what is no request"
        logger.info("connection %d: %s: closed", self.number, self._reason)
        self._flush()
        self._backlog.clear()
        self._link.close()

    def _close_if_done(self) -> None:
        if self._half_closed and not len(self._running) and not self._backlog:
            self._link.close()

    def cancel(self, identity: Any) -> None:
        """The caller no longer wants the answer of that id."""
        self._running.cancel(identity)

    def progressed(self, identity: Any, text: Any) -> None:
        """The other side tells how the call of that id gets on."""
        tell = self._progress.get(identity) if isinstance(identity, int) else None
        if tell is not None and isinstance(text, str):
            tell(text)

    def cancel_all(self) -> None:
        """Cancel every call being served that hasn't passed its commit point."""
        self._running.cancel_all()

    def finish(self) -> None:
        """Flush and disconnect; returns at once."""
        self._reason = self._reason or "closed by this side"
        self._link.close()

    async def close(self) -> None:
        """Flush, disconnect and wait until it is done."""
        self.finish()
        await asyncio.shield(self.closed)

    def abort(self) -> None:
        """Disconnect at once."""
        self._link.abort()

    # --- the debug log

    def _log_served(self, incoming: Incoming, response: Any) -> None:
        method = incoming.served.method if incoming.served is not None else None
        name = method.name if method is not None else repr(incoming.method[:60])
        outcome = f"error {response._error.code}" if isinstance(response, Left) else "ok"
        identity = "" if incoming.identity is NOID else incoming.identity
        self._log_line("<-", identity, name, shown_params(method, incoming.params), outcome, incoming.started)

    def _log_line(self, way: str, identity: Any, method: str, params: str, outcome: str, started: float) -> None:
        duration = (time.monotonic() - started) * 1000
        who = f" ({self.peer.role} {self.peer.pid})" if self.peer else ""
        logger.debug(
            "%d%s %s %s %s(%s): %s, %.3f ms", self.number, who, way, identity, method, params, outcome, duration
        )
