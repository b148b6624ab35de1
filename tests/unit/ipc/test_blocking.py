"""The blocking client, against a server in another thread that answers what the test says."""

import socket
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError
from bitcoind_mp.ipc.wire.blocking import call


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[[bytes | None], str]]:
    """Start a server that reads one line and writes these bytes (None: waits for the end)."""
    opened: list[Any] = []

    def start(answer: bytes | None) -> str:
        path = str(tmp_path / f"s{len(opened)}")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen()

        def serve() -> None:
            connected, _ = listening.accept()
            with connected, connected.makefile("rb") as lines:
                requests.append(lines.readline())
                if answer is None:
                    lines.readline()
                else:
                    connected.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        opened.append((listening, thread))
        return path

    requests: list[bytes] = []
    start.requests = requests  # type: ignore[attr-defined]
    yield start
    for listening, thread in opened:
        thread.join(5)
        assert not thread.is_alive()
        listening.close()


def test_a_result_comes_back(answering: Any) -> None:
    path = answering(b'{"jsonrpc":"2.0","result":{"a":0.10},"id":1}\n')
    assert call(path, "getinfo", ["x"], wallet="w") == {"a": Decimal("0.10")}
    assert b'"method":"getinfo","params":["x"]' in answering.requests[0] and b'"wallet":"w"' in answering.requests[0]
    assert call(answering(b'{"jsonrpc":"2.0","result":0.10,"id":1}\n'), "x", parse_float=str) == "0.10"


def test_notifications_before_the_answer_are_passed_over(answering: Any) -> None:
    progress = b'{"jsonrpc":"2.0","method":"call.progress","params":{"id":1,"text":"half"}}\n'
    assert call(answering(progress * 3 + b'{"jsonrpc":"2.0","result":5,"id":1}\n'), "x") == 5


def test_a_large_result_comes_whole(answering: Any) -> None:
    text = b"ab" * 2_000_000
    assert call(answering(b'{"jsonrpc":"2.0","result":"' + text + b'","id":1}\n'), "x") == text.decode()


def test_an_error_is_raised(answering: Any) -> None:
    with pytest.raises(RpcError) as caught:
        call(answering(b'{"jsonrpc":"2.0","error":{"code":-8,"message":"no"},"id":1}\n'), "x")
    assert (caught.value.code, caught.value.message) == (-8, "no")


def test_no_answer_is_an_unknown_outcome(answering: Any, tmp_path: Path) -> None:
    with pytest.raises(Disconnected):
        call(answering(b""), "x")
    with pytest.raises(Disconnected):
        call(answering(b'{"half'), "x")
    with pytest.raises(CallTimeout):
        call(answering(None), "x", timeout=0.05)
    with pytest.raises(FileNotFoundError):
        call(str(tmp_path / "nosuch"), "x")
