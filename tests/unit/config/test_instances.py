"""Names as systemd-escape prints them, and the socket that follows."""

import pytest

from bitcoind_mp.config import load
from bitcoind_mp.config.instances import escaped
from bitcoind_mp.config.option import NODE, SUPERVISOR, WALLET
from bitcoind_mp.interfaces.errors import FatalError


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("alice", "alice"),
        ("cold/2026", "cold-2026"),
        ("a-b", r"a\x2db"),
        (".hidden", r"\x2ehidden"),
        ("é x", r"\xc3\xa9\x20x"),
    ],
)
def test_a_name_is_escaped_as_systemd_escapes_it(name: str, instance: str) -> None:
    assert escaped(name) == instance


def test_a_process_for_one_wallet_has_a_socket_of_its_own(tmp_path) -> None:
    at = ["-regtest", f"-datadir={tmp_path}"]
    run = tmp_path / "regtest" / "run"
    alone = load([*at, "-onlywallet=a-b"], WALLET)
    assert alone.socket_path("wallet") == run / r"wallet@a\x2db.sock"
    assert alone.socket_path("node") == run / "node.sock"
    assert alone.instance == r"wallet@a\x2db"
    assert load(at, WALLET).socket_path("wallet") == run / "wallet.sock"
    assert load([*at, "-onlywallet=a", "-ipcbind=unix:x.sock"], WALLET).socket_path("wallet") == run.parent / "x.sock"


@pytest.mark.parametrize("program", [SUPERVISOR, NODE])
def test_the_supervisor_s_wallet_process_is_for_all(tmp_path, program: str) -> None:
    with pytest.raises(FatalError, match="onlywallet"):
        load([f"-datadir={tmp_path}", "-onlywallet=a"], program)
