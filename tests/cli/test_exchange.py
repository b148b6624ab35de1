"""A request and its reply, whatever else goes wrong meanwhile."""

import os
import socket
import threading
from pathlib import Path

import pytest

from bitcoind_mp.cli.command import exchange
from bitcoind_mp.cli.routing import Server
from bitcoind_mp.config import load
from bitcoind_mp.config.option import CLI


@pytest.mark.parametrize("failure", [ConnectionResetError, exchange.NoServer])
def test_a_supervisor_that_can_t_be_asked_how_the_units_are_costs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    asked = threading.Event()

    def subscribed(*_: object) -> None:
        asked.set()
        raise failure

    monkeypatch.setattr(exchange, "subscribed", subscribed)
    monkeypatch.setattr(exchange, "PATIENCE", 0.01)
    monkeypatch.setattr(os, "isatty", lambda _: True)
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer() -> None:
            caller, _ = listening.accept()
            with caller:
                caller.recv(100)
                asked.wait(30)
                caller.sendall(b'{"result":7}\n')

        answering = threading.Thread(target=answer)
        answering.start()
        server = Server("node", str(path), None)
        connection = exchange.connected(server)
        assert connection is not None
        config = load(["-regtest", f"-datadir={tmp_path}"], CLI)
        assert exchange.exchange(config, server, connection, b"{}") == b'{"result":7}'
        answering.join(30)
    assert asked.is_set()
