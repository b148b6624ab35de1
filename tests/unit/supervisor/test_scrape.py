"""Serving metrics: one kind of request over HTTP, whatever else comes, and however slowly."""

import asyncio
import contextlib
import socket
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bitcoind_mp.config.option import BadValue, check_listen
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.ipc.wire.unix import bind_listener
from bitcoind_mp.supervisor.outward.scrape import Scraping, listen

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def broken() -> bytes:
    raise RuntimeError("no figures")


def run(
    tmp_path: Path,
    scenario: Callable[[Callable[..., Awaitable[bytes]], str], Awaitable[None]],
    text: Callable[[], bytes] = lambda: b"up 1\n",
    patience: float = 30.0,
) -> None:
    async def life() -> None:
        path = tmp_path / "m.sock"
        scraping = Scraping(*listen(f"unix:{path}", tmp_path, bind_listener, None), text, patience=patience)
        await scraping.start()

        async def ask(request: bytes) -> bytes:
            reading, writing = await asyncio.open_unix_connection(str(path))
            writing.write(request)
            try:
                return await reading.read()
            except ConnectionError:
                return b""
            finally:
                writing.close()

        assert mode_of(path) == 0o600
        async with asyncio.timeout(60):
            await scenario(ask, str(path))
        scraping.close()
        assert not path.exists()

    asyncio.run(life())


def test_what_is_asked_for_is_answered_and_the_connection_closed(tmp_path: Path) -> None:
    async def scenario(ask: Callable[..., Awaitable[bytes]], path: str) -> None:
        answer = await ask(GET)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n")
        assert b"Content-Length: 5\r\nConnection: close" in head
        assert body == b"up 1\n"
        assert (await ask(GET.replace(b"GET", b"HEAD"))) == head + b"\r\n\r\n"
        assert (await ask(b"GET /metrics?name=x HTTP/1.0\n\n")).startswith(b"HTTP/1.1 200 OK")

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed"),
        (b"hello", b"400 Bad Request"),
        (b"GET /metrics SPDY/9", b"400 Bad Request"),
        (b"\xff\x00 \xfe \xfd", b"400 Bad Request"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, request_line: bytes, status: bytes) -> None:
    async def scenario(ask: Callable[..., Awaitable[bytes]], path: str) -> None:
        assert (await ask(request_line + b"\r\n\r\n")).startswith(b"HTTP/1.1 " + status)

    run(tmp_path, scenario)


def test_an_endless_request_is_cut(tmp_path: Path) -> None:
    async def scenario(ask: Callable[..., Awaitable[bytes]], path: str) -> None:
        answer = await ask(b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 100_000)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")

    run(tmp_path, scenario)


def test_those_that_say_nothing_keep_nobody_out(tmp_path: Path) -> None:
    async def scenario(ask: Callable[..., Awaitable[bytes]], path: str) -> None:
        silent = []
        for _ in range(5):
            silent += [await asyncio.open_unix_connection(path) for _ in range(8)]
            assert (await ask(GET)).startswith(b"HTTP/1.1 200 OK")
        for reading, _ in silent:  # each was closed, for the next or after its time
            with contextlib.suppress(ConnectionError):
                assert await reading.read() == b""
        for _, writing in silent:
            writing.close()

    run(tmp_path, scenario, patience=0.5)


def test_a_fault_of_ours_is_one_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(ask: Callable[..., Awaitable[bytes]], path: str) -> None:
        assert (await ask(GET)).startswith(b"HTTP/1.1 500 ")
        assert (await ask(GET)).startswith(b"HTTP/1.1 500 ")

    run(tmp_path, scenario, broken)
    assert "RuntimeError: no figures" in caplog.text


def test_who_asks_in_a_hurry_is_told_the_same_again(tmp_path: Path) -> None:
    made: list[int] = []

    def text() -> bytes:
        made.append(1)
        return b"n %d\n" % len(made)

    async def scenario(ask: Callable[..., Awaitable[bytes]], path: str) -> None:
        answers = await asyncio.gather(*(ask(GET) for _ in range(5)))
        assert {answer[-4:] for answer in answers} == {b"n 1\n"}

    run(tmp_path, scenario, text)


def test_where_to_listen(tmp_path: Path) -> None:
    for good in ("unix:m.sock", "127.0.0.1:9332", "127.1.2.3:1", "localhost:0", "[::1]:9332"):
        check_listen(good)
    for bad in (
        "",
        "unix:",
        "9332",
        "127.0.0.1",
        "127.0.0.1:x",
        "127.0.0.1:70000",
        "0.0.0.0:1",
        "[::]:1",
        "a.example:1",
    ):
        with pytest.raises(BadValue):
            check_listen(bad)
    taken = socket.create_server(("127.0.0.1", 0))
    address = f"localhost:{taken.getsockname()[1]}"
    with pytest.raises(FatalError, match=f"-metrics={address}: could not listen there: Address already") as caught:
        listen(address, tmp_path, bind_listener, None)
    assert caught.value.status is ExitStatus.PORT_TAKEN
    taken.close()


def test_nobody_pays_for_the_library_who_did_not_ask() -> None:
    code = "import sys, bitcoind_mp.supervisor.app; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
