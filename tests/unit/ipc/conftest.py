"""What the tests of `ipc` share: objects with declared methods, a link that records, a served socketpair."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, TypedDict

import pytest

from bitcoind_mp.interfaces.command import Amount, Call, Hash, Int32, Secret, SecretMarker, command
from bitcoind_mp.interfaces.errors import Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc.client import attach
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.session import Session


class SendOptions(TypedDict, total=False):
    conf_target: int
    replaceable: bool


class ExampleCommands:
    """Commands that show every rule of binding and every way to end."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.started = asyncio.Event()
        self.release = asyncio.Event()

    @command("blockchain")
    def getblockcount(self) -> int:
        """Returns the height of the most-work fully-validated chain.
        The genesis block has height 0.

        Returns:
            The current block count
        """
        return 112

    @command("blockchain", aliases={"verbose": "verbosity"})
    def getblock(self, blockhash: Hash, verbosity: int | bool = 1) -> list[Any]:
        """Returns a block.

        Args:
            blockhash: The block hash
            verbosity: 0 for hex-encoded data,
                1 for a JSON object
        """
        return [blockhash.hex(), verbosity]

    @command("blockchain")
    def gettxoutproof(self, txids: list[str], blockhash: Hash | None = None) -> list[Any]:
        """Returns a proof."""
        return [txids, blockhash]

    @command("wallet", options="options", changes=True)
    def send(
        self, outputs: list[dict[str, Any]], fee_rate: Amount = 7, options: SendOptions | None = None
    ) -> list[Any]:
        """Send."""
        return [outputs, fee_rate, options]

    @command("wallet")
    def walletpassphrase(self, passphrase: Secret, timeout: int) -> None:
        """Unlock."""
        raise RuntimeError(f"could not unlock with {passphrase}")

    @command("wallet")
    def importkeys(self, keys: Annotated[list[str], SecretMarker()], label: str = "") -> None:
        """Import."""
        self.seen.append(keys)

    @command("util")
    def difficulty(self, number: float = 1.0) -> float:
        """A number."""
        return number

    @command("wallet")
    def keypoolrefill(self, newsize: Int32 | None = None) -> int | None:
        """A count."""
        return newsize

    @command("util")
    def broken(self) -> Any:
        """Fails in a way nobody knows of."""
        raise ValueError("a secret thing")

    @command("util")
    def unwritable(self) -> Any:
        """Its result has no JSON."""
        return {"x": object()}

    @command("util")
    def full(self) -> None:
        """The disk is full."""
        raise OSError(28, "No space left on device")

    @command("util")
    async def abandoned(self) -> None:
        """Whom it asks goes away."""
        raise Disconnected("The connection was lost")

    @command("util", changes=True)
    async def abandoned_at_work(self) -> None:
        """Whom it asks goes away."""
        raise Disconnected("The connection was lost.")

    @command("util")
    def refuses(self) -> None:
        """Refuses with data."""
        raise RpcError(RpcCode.INVALID_PARAMETER, "no", {"why": 1})

    @command("util")
    async def wait(self, name: str = "", call: Call | None = None) -> str:
        """Wait until released."""
        raise AssertionError("replaced below")

    @command("util")
    def note(self, name: str) -> str:
        """Remember that it was called."""
        self.seen.append(name)
        return name

    @command("util")
    async def anote(self, name: str) -> str:
        """The same, later."""
        await asyncio.sleep(0)
        self.seen.append(name)
        return name

    @command("wallet")
    async def facts(self, call: Call, name: str = "x") -> list[Any]:
        """The call's own facts."""
        call.progress("half way")
        return [call.method, call.wallet, name]


def _waiting(commits: bool) -> Any:
    from bitcoind_mp.interfaces.command import commit_point

    async def wait(self: ExampleCommands, name: str = "") -> str:
        """Wait until released."""
        self.started.set()
        if commits:
            commit_point()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.seen.append(f"cancelled {name}")
            raise
        self.seen.append(f"done {name}")
        return name

    return wait


ExampleCommands.wait = command("util", waits=True)(_waiting(False))  # type: ignore[method-assign]
ExampleCommands.commit = command("util", name="commit", changes=True)(_waiting(True))  # type: ignore[attr-defined]


class RecordingLink:
    """A link that keeps what a session writes."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = self.aborted = self.reading_paused = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def messages(self) -> list[Any]:
        """What was written since the last time, decoded."""
        lines, self.written = self.written.splitlines(), b""
        return [json.loads(line) for line in lines]


def make_hello(role: str, **changes: Any) -> Hello:
    facts = {"role": role, "protocol": PROTOCOL_VERSION, "chain": "regtest", "version": "0.1", "pid": os.getpid()}
    return Hello(**{**facts, **changes})


@pytest.fixture
def hello() -> Callable[..., Hello]:
    return make_hello


@pytest.fixture
def example() -> type[ExampleCommands]:
    return ExampleCommands


@pytest.fixture
def recording() -> Callable[..., tuple[Session, RecordingLink]]:
    """A session over a recording link, serving the objects given."""

    def make(*objects: object, **kwargs: Any) -> tuple[Session, RecordingLink]:
        server = Server(objects, hello=make_hello("node"))
        link = RecordingLink()
        session = Session(link, shared=server._shared, number=1, **kwargs)
        return session, link

    return make


@pytest.fixture
def serving() -> Any:
    """An async context: a server of the objects given, and a session to it over a socketpair."""

    @contextlib.asynccontextmanager
    async def serve(*objects: object, handshake: bool = True, **kwargs: Any) -> AsyncIterator[tuple[Server, Session]]:
        server = Server(objects, hello=make_hello("node"), **kwargs)
        ours, theirs = socket.socketpair()
        await server.adopt(ours)
        session = await attach(theirs, hello=make_hello("wallet") if handshake else None)
        try:
            yield server, session
        finally:
            await session.close()
            await server.close(1.0)

    return serve


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Wait for a condition, turn by turn of the loop, 5 seconds at most."""

    async def wait(condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 (conditions of many kinds)
                await asyncio.sleep(0)

    return wait
