"""Which socket a wallet's command goes to where wallets are served by a process each."""

import json
from pathlib import Path

import pytest

from bitcoind_mp.cli.routing import Servers
from bitcoind_mp.config import load
from bitcoind_mp.config.option import CLI


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "regtest" / "run"
    run.mkdir(parents=True)
    return run


def serve(run: Path, name: str, wallet: str | None = None) -> None:
    """What a server leaves in the directory."""
    (run / f"{name}.sock").touch()
    table = {"role": "wallet", "commands": [{"name": "getbalance", "params": []}]}
    (run / f"{name}.json").write_text(json.dumps({**table, **({"wallet": wallet} if wallet else {})}))


def asked(run: Path, *options: str, wallet: str | None = None) -> list[str]:
    """The sockets that would be tried for getbalance, in order."""
    config = load(["-regtest", f"-datadir={run.parent.parent}", *options], CLI)
    return [Path(server.socket).name for server, _ in Servers.of(config, wallet).having("getbalance")]


def test_the_process_for_all_wallets_is_asked_where_there_is_one(run: Path) -> None:
    serve(run, "wallet")
    serve(run, r"wallet@a\x2db", "a-b")
    assert asked(run) == asked(run, "-rpcwallet=other") == ["wallet.sock"]


def test_a_wallet_with_a_process_of_its_own_is_found_by_its_name(run: Path) -> None:
    serve(run, "wallet")
    serve(run, r"wallet@a\x2db", "a-b")
    serve(run, "wallet@c", "c")
    assert asked(run, "-rpcwallet=a-b") == asked(run, wallet="a-b") == [r"wallet@a\x2db.sock", "wallet.sock"]


def test_a_wallet_s_own_socket_is_tried_before_anybody_has_called_it(run: Path) -> None:
    serve(run, "wallet")
    (run / "wallet@a.sock").touch()
    config = load(["-regtest", f"-datadir={run.parent.parent}", "-rpcwallet=a"], CLI)
    assert [Path(server.socket).name for server in Servers.of(config).all()][-2:] == ["wallet@a.sock", "wallet.sock"]


def test_without_a_process_for_all_each_is_asked(run: Path) -> None:
    serve(run, "wallet@c", "c")
    assert asked(run) == ["wallet@c.sock"]
    serve(run, "wallet@a", "a")
    assert asked(run) == ["wallet@a.sock", "wallet@c.sock"]


def test_what_is_no_server_s_is_left_aside(run: Path) -> None:
    (run / "wallet@x.sock").touch()
    serve(run, "wallet@y", "y")
    (run / "wallet@y.json").write_text("[")
    (run / "wallet@z.json").write_text("{}")
    assert asked(run) == []
