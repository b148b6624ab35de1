"""Names as systemd-escape prints them, and the socket that follows."""

import pytest

from bitcoind_mp.config import load
from bitcoind_mp.config.instances import LONGEST, escaped, instance, unescaped
from bitcoind_mp.config.option import NODE, SUPERVISOR, WALLET
from bitcoind_mp.interfaces.errors import FatalError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("alice", "alice"),
        ("cold/2026", "cold-2026"),
        ("a-b", r"a\x2db"),
        (".hidden", r"\x2ehidden"),
        ("é x", r"\xc3\xa9\x20x"),
    ],
)
def test_a_name_is_escaped_as_systemd_escapes_it(name: str, text: str) -> None:
    assert escaped(name) == text
    assert unescaped(text) == name


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    assert instance("a/b c") == r"a-b\x20c"
    first, second = "ü" * 100, "ü" * 99 + "x"
    assert len(instance(first)) == len(instance(second)) == LONGEST
    assert instance(first) != instance(second)
    assert instance("x" * LONGEST) == "x" * LONGEST
    assert "~" not in escaped("~"), "so that no name looks like one that was cut"


def test_which_wallets_are_loaded_at_the_start(tmp_path) -> None:
    at = ["-regtest", f"-datadir={tmp_path}"]
    assert load(at, WALLET).wallets_to_load([]) == []
    (tmp_path / "regtest" / "wallets").mkdir(parents=True)
    (tmp_path / "regtest" / "wallets" / "wallet.sqlite").touch()
    assert load(at, WALLET).wallets_to_load([]) == [""]
    assert load([*at, "-nowallet"], WALLET).wallets_to_load([]) == []
    assert load([*at, "-nowallet"], WALLET).wallets_to_load(["a"]) == []
    assert load(at, WALLET).wallets_to_load(["b", "a"]) == ["b", "a"]
    both = load([*at, "-wallet=a", "-wallet=a"], WALLET)
    assert both.wallets_to_load(["b", "a"]) == ["a", "b"]
    assert both.get_list("wallet") == ["a", "a"], "what is marked is no option"
    (tmp_path / "bitcoin.conf").write_text("[regtest]\nwallet=c\nnowallet=1\n")
    assert load(at, WALLET).wallets_to_load(["b"]) == ["b"], "as in Core: the file's negation is the weaker"


def test_a_process_for_one_wallet_has_a_socket_of_its_own(tmp_path) -> None:
    at = ["-regtest", f"-datadir={tmp_path}"]
    run = tmp_path / "regtest" / "run"
    alone = load([*at, "-onlywallet=a-b"], WALLET)
    assert alone.socket_path("wallet") == run / r"wallet@a\x2db.sock"
    assert alone.socket_path("node") == run / "node.sock"
    assert alone.instance == r"wallet@a\x2db"
    assert load(at, WALLET).socket_path("wallet") == run / "wallet.sock"
    assert load([*at, "-onlywallet="], WALLET).instance == "wallet@", "the wallet without a name"
    assert load([*at, "-onlywallet=a", "-ipcbind=unix:x.sock"], WALLET).socket_path("wallet") == run.parent / "x.sock"


@pytest.mark.parametrize("program", [SUPERVISOR, NODE])
def test_the_supervisor_s_wallet_process_is_for_all(tmp_path, program: str) -> None:
    with pytest.raises(FatalError, match="onlywallet"):
        load([f"-datadir={tmp_path}", "-onlywallet=a"], program)
