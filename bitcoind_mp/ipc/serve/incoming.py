"""One request on its way through the dispatcher, and the one place where exceptions become error replies."""

import asyncio
import errno
import logging
import time
import traceback
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from jsonrpcserver.result import ErrorResult
from jsonrpcserver.sentinels import NODATA, NOID
from oslash.either import Left

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.ipc.declared.signature import Method

from .redact import HIDDEN, secret_texts

if TYPE_CHECKING:
    from bitcoind_mp.ipc.session import Session

logger = logging.getLogger("bitcoind_mp.ipc")


class Incoming:
    """A request: what the message said, and, where the handler is a coroutine function, its ``pending`` coroutine."""

    __slots__ = (
        "called",
        "committed",
        "has_done",
        "identity",
        "method",
        "params",
        "pending",
        "session",
        "started",
        "target",
        "unwanted",
        "wallet",
    )

    def __init__(self, session: "Session", message: dict[str, Any], identity: Any) -> None:
        self.session = session
        self.method: str = message["method"]
        self.params: list[Any] | dict[str, Any] | None = message.get("params")
        self.wallet: str | None = message.get("wallet")
        self.target: int = message.get("object", 0)
        self.identity = identity
        self.pending: Coroutine[Any, Any, Any] | None = None
        self.called: Method | None = None
        """What the method is declared as, once it was found to be served."""
        self.committed = False
        self.has_done = False
        """Whether it passed a commit point: something of it may have been done, whatever became of it after that."""
        self.unwanted = False
        self.started = time.monotonic()

    @property
    def waits(self) -> bool:
        """Whether it may take as long as it likes (`Declaration`)."""
        return self.called is not None and self.called.declaration.waits

    def progress(self, text: str) -> None:
        """What `Call.progress` calls."""
        if self.identity is not NOID:
            self.session.tell_progress(self.identity, text)

    def commit(self) -> None:
        """What `interfaces.command.commit_point` calls."""
        self.committed = self.has_done = True

    def pause(self) -> None:
        """What `interfaces.command.pause_point` calls."""
        self.committed = False
        if self.unwanted:
            raise asyncio.CancelledError


def refusal(error: BaseException, incoming: Incoming | None = None) -> Any:
    """The error result for an exception. What isn't known is logged, without secrets, and answered blandly: its
    text may hold anything."""
    if isinstance(error, RpcError):
        return Left(ErrorResult(error.code, error.message, NODATA if error.data is None else error.data))
    if isinstance(error, Disconnected):
        why = str(error) or "Disconnected"
        if incoming is not None:
            why = f"A process that {incoming.method} asks went away before it answered: {why}"
            if incoming.called is not None and incoming.called.declaration.changes:
                why = f"{why.rstrip('.')}. Whether the command took effect is unknown."
        return Left(ErrorResult(int(RpcCode.CLIENT_NOT_CONNECTED), why))
    if isinstance(error, CallTimeout):
        return Left(ErrorResult(int(RpcCode.MISC_ERROR), str(error) or "Timed out"))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        logger.error("%s failed: %s", incoming.method if incoming else "a call", error.strerror)
        return Left(ErrorResult(int(RpcCode.DATABASE_ERROR), f"The disk is full: {error.strerror}"))
    _log_unknown(error, incoming)
    if isinstance(error, MemoryError):
        return Left(ErrorResult(int(RpcCode.OUT_OF_MEMORY), "Out of memory"))
    return Left(ErrorResult(int(RpcCode.INTERNAL_ERROR), "Internal error (its cause is in the server's log)"))


def _log_unknown(error: BaseException, incoming: Incoming | None) -> None:
    text = "".join(traceback.format_exception(error)).rstrip()
    if incoming is not None and incoming.called is not None:
        for secret in secret_texts(incoming.called, incoming.params):
            text = text.replace(secret, HIDDEN)
    logger.error("%s failed\n%s", incoming.method if incoming else "a call", text)
