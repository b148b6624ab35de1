"""One connection on which both sides may call: concurrency, deadlines, cancellation. It sees bytes, but no socket.

A `Link` (``transport``) carries its bytes and tells it when it may write; ``jsonrpc`` keeps the calls it makes;
``serving``, imported when it is needed, serves those it gets.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from bitcoind_mp.interfaces.errors import SHUTTING_DOWN, CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.init import Hello

from .limits import MAX_REPLY, MAX_UNFINISHED, SMALL_LINE
from .serve.shared import Shared
from .wire.encoding import NOT_JSON, decode, with_repeats
from .wire.framing import Lines, LineTooLong
from .wire.jsonrpc import Calls, NotAResponse, Params, error_line, notification_line

if TYPE_CHECKING:
    from .serve.serving import Serving

logger = logging.getLogger("bitcoind_mp.ipc")


class Link(Protocol):
    """What carries a session's bytes."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def detach(self) -> socket.socket | None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


#: Characters of what the other side says that are logged.
_LONGEST_TOLD = 200


class Session:
    """One connection. ``peer`` is the other side's Hello once hands were shaken (None before); ``closed`` is done,
    never with an exception, when the connection is gone. ``limit`` is the longest line taken from the other side;
    ``forget`` is told when it has ended."""

    def __init__(
        self,
        link: Link,
        *,
        shared: Shared | None = None,
        number: int = 0,
        limit: int = MAX_REPLY,
        timeout: float = 30.0,
        forget: "Callable[[Session], None]" = lambda _: None,
    ) -> None:
        self.peer: Hello | None = None
        self.number = number
        self.began = self.last_heard = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._link = link
        self._shared = shared or Shared()
        self._timeout = timeout
        self._lines = Lines(limit)
        self._calls = Calls()
        self._serving: Serving | None = None
        self._notices = {"call.progress": self._progressed, "rpc.leaving": self._left, "rpc.left": self._free}
        self._progress: dict[Any, Callable[[str], None]] = {}
        self._endings: dict[int, Callable[[], None]] = {}
        self._state = 0
        self._endings_count = 0
        self._forget = forget
        self._is_held = False
        self._other_leaves = False
        self._let_go: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._reason = ""
        self._was_answered = False  # what it didn't ask: told of once, whatever the other side goes on to say

    @property
    def is_silent(self) -> bool:
        """Whether nothing was heard yet, though we listen."""
        return self.last_heard == self.began and not self._is_held

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
            RpcError: the other side refused, in its own words; or it is going down, and was asked nothing.
            Disconnected, CallTimeout: the outcome is unknown.
        """
        seconds = self._timeout if timeout is None else timeout
        if not self._writable.is_set():
            await self._until_writable(method, seconds)
        if self.closed.done():
            raise Disconnected(self._reason)
        if self._other_leaves:
            raise RpcError(RpcCode.CLIENT_NOT_CONNECTED, SHUTTING_DOWN)
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
                self.log_call("->", identity, method, "", outcome, started)

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
        return self._server().serve(objects)

    def _server(self) -> "Serving":
        if self._serving is None:
            from .serve.serving import Serving

            self._serving = Serving(self, self._link, self._shared)
            self._serving.may_write(self._writable.is_set())
        return self._serving

    def on_end(self, callback: Callable[[], None], *, tidies: bool = False) -> Callable[[], None]:
        """Call back when the connection ends. Returns what undoes it. ``tidies`` says that the callback only puts away
        what another process could make anew."""
        self._endings_count += 1
        number = self._endings_count
        self._endings[number] = callback
        self._state += not tidies

        def undo() -> None:
            if self._endings.pop(number, None) is not None:
                self._state -= not tidies

        return undo

    def tell_progress(self, identity: Any, text: str) -> None:
        """Tell the other side how its call of that id gets on; not while it reads slowly."""
        if not self.closed.done() and self._writable.is_set():
            self._link.write(notification_line("call.progress", {"id": identity, "text": text}))

    # --- what the link tells

    def received(self, data: bytes) -> None:
        """Bytes came."""
        self.last_heard = time.monotonic()
        before = self._lines.held
        try:
            lines = self._lines.feed(data)
        except LineTooLong:
            self._shared.held -= before
            self.break_off(RpcCode.INVALID_REQUEST, "A message longer than this side takes")
            return
        held = self._lines.held
        self._shared.held += held - before
        if self._shared.held > MAX_UNFINISHED and held > SMALL_LINE:
            self.break_off(RpcCode.INVALID_REQUEST, "Too much unfinished input on all connections together: try again")
            return
        if self._serving is not None:
            self._serving.begin()
        for line in lines:
            if line and line != b"\r" and not self._reason:
                self._line(line)
        if self._serving is not None:
            self._serving.flush()

    def ended(self, reason: str) -> None:
        """The connection is gone."""
        if self.closed.done():
            return
        self._reason = self._reason or reason
        self._shared.held -= self._lines.held
        self._lines.held = 0
        self.closed.set_result(None)
        self._free(None)
        self._writable.set()
        if self._serving is not None:
            self._serving.ended()
        self._calls.fail(Disconnected(self._reason))
        endings, self._endings = list(self._endings.values()), {}
        self._forget(self)
        for callback in endings:
            callback()

    def half_closed(self) -> bool:
        """The other side will send no more but still reads. True: keep the connection until its calls are answered."""
        return self._serving is not None and self._serving.half_closed()

    def may_write(self, yes: bool) -> None:
        """The link's buffer is full, or has drained."""
        if yes:
            self._writable.set()
        else:
            self._writable.clear()
        if self._serving is not None:
            self._serving.may_write(yes)

    # --- messages

    def _line(self, line: bytes) -> None:
        try:
            message = decode(line)
        except NOT_JSON:
            self.break_off(RpcCode.PARSE_ERROR, "Parse error")
            return
        if type(message) is dict:
            method = message.get("method")
            if method is None and ("result" in message or "error" in message):
                self._response(message)
                return
            if method in self._notices and "id" not in message:
                self._notices[method](message.get("params"))
                return
        if line.count(b"{") > 1:
            message = with_repeats(line, message)
        (self._serving or self._server()).request(message, len(line))

    def _response(self, message: dict[str, Any]) -> None:
        try:
            if self._calls.answered(message) is None and message.get("id") is None and not self._was_answered:
                self._was_answered = True
                error = str(message.get("error"))[:_LONGEST_TOLD]
                logger.info("connection %d: the other side answered %r", self.number, error)
        except NotAResponse as error:
            self.break_off(RpcCode.INVALID_REQUEST, f"Not a response: {error}")

    # --- writing and closing

    def break_off(self, code: int, message: str) -> None:
        """The other side sent what can't be understood: say so (unless ``code`` is 0) and disconnect."""
        if self._reason:
            return
        self._reason = message
        logger.info("connection %d: %s: closed", self.number, message)
        if self._serving is not None:
            self._serving.flush()
            self._serving.broken_off()
        if code:
            self._link.write(error_line(code, message))
        self._link.close()

    def cancel(self, identity: Any) -> None:
        """The other side no longer wants the answer of that id."""
        if self._serving is not None:
            self._serving.cancel(identity)

    def _progressed(self, params: Any) -> None:
        """The other side tells how a call of ours gets on."""
        identity, text = (params.get("id"), params.get("text")) if type(params) is dict else (None, None)
        tell = self._progress.get(identity) if type(identity) is int else None
        if tell is not None and type(text) is str:
            tell(text)

    def let_end(self, recently: float) -> "list[asyncio.Task[Any]]":
        """The calls being served that end by themselves soon; the others are cancelled (`Running.let_end`)."""
        return self._serving.let_end(recently) if self._serving is not None else []

    # --- going over to another process

    def leave(self, *, to_another: bool) -> None:
        """What the other side asks from now on is not for us: where the connection may go ``to_another`` process, it is
        left for that; else it is refused. A silent caller may yet say what he came for."""
        if to_another and self._is_plain and not self._lines.held:
            self._is_held = True
            self._link.pause_reading()
            return
        if not self.is_silent:
            self._server().takes_no_more = True
        if self.peer is not None and self._let_go is None and not self.closed.done():
            self._let_go = self._loop.create_future()
            self._link.write(notification_line("rpc.leaving", ()))

    @property
    def let_go(self) -> "asyncio.Future[None] | None":
        """Done when the other side will ask nothing more, so that no call of its is lost on the way; None for one that
        wasn't asked to say so."""
        return self._let_go

    def _left(self, params: Any) -> None:
        """The other side is going down, and takes no more."""
        self._other_leaves = True
        self._link.write(notification_line("rpc.left", ()))

    def _free(self, params: Any) -> None:
        """The other side knows that we are."""
        if self._let_go is not None and not self._let_go.done():
            self._let_go.set_result(None)

    def read_on(self) -> None:
        """There is room again for what the other side sends."""
        if not self._is_held:
            self._link.resume_reading()

    def detach(self) -> socket.socket | None:
        """The connection, ours no longer, where another process may go on with it as if it had just been accepted;
        None where it is to know what we know: who it is, what it is told, what it sent or is yet to be sent."""
        if not (self._is_held and self._is_plain and (self._serving is None or self._serving.is_idle)):
            return None
        return self._link.detach()

    @property
    def _is_plain(self) -> bool:
        return not (self.peer or self._reason or self._state)

    def cancel_all(self) -> None:
        """Cancel every call being served that hasn't passed its commit point."""
        if self._serving is not None:
            self._serving.cancel_all()

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

    def log_call(self, way: str, identity: Any, method: str, params: str, outcome: str, started: float) -> None:
        duration = (time.monotonic() - started) * 1000
        who = f" ({self.peer.role} {self.peer.pid})" if self.peer else ""
        logger.debug(
            "%d%s %s %s %s(%s): %s, %.3f ms", self.number, who, way, identity, method, params, outcome, duration
        )
