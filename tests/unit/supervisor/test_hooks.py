"""Command lines of hooks: what stands for what, and that nothing a worker says becomes a command."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.config import Config
from bitcoind_mp.config.loading import load
from bitcoind_mp.supervisor.outward import hooks

TXID, BLOCK = "ab" * 32, "cd" * 32
BY_OPTION = {hook.option: hook for hook in hooks.HOOKS}
WICKED = "x $(touch p) `touch p` '; touch p; ' \"; touch p; \" & touch p | touch p\n touch p"


def test_only_commands_that_a_wallet_waits_for_are_never_left_out() -> None:
    assert [hook.option for hook in hooks.HOOKS if not hook.loses] == ["walletnotify"]


def transaction(**facts: Any) -> dict[str, Any]:
    known = {"wallet": "alice", "txid": TXID, "block": BLOCK, "height": 7, "number": 3}
    return {"kind": "transaction", "time": 1.0, **known, **facts}


def unit(**facts: Any) -> dict[str, Any]:
    known = {"unit": "node", "state": "failed", "before": "starting", "pid": None, "restarts": 2}
    return {"kind": "unit", "time": 1.0, **known, "cause": "disk-full", "reason": "no room", **facts}


def alert(text: str) -> dict[str, Any]:
    return {"kind": "alert", "time": 1.0, "source": "node", "text": text, "raised": True}


def tip(hash: str = BLOCK) -> dict[str, Any]:
    return {"kind": "tip", "time": 1.0, "hash": hash, "height": 7, "block_time": 5}


def command_line(option: str, command: str, notice: dict[str, Any]) -> str:
    return hooks.line(BY_OPTION[option], command, hooks.values(notice))


def test_as_bitcoin_core_has_them() -> None:
    assert command_line("blocknotify", "block %s %h %%", tip()) == f"block {BLOCK} %h %%"
    assert command_line("walletnotify", "tx %s %w %b %h", transaction()) == f"tx {TXID} 'alice' {BLOCK} 7"
    unconfirmed = transaction(block=None, height=-1)
    assert command_line("walletnotify", "tx %s %b %h", unconfirmed) == f"tx {TXID} unconfirmed -1"
    warning = alert("Unknown new rules activated (versionbit 28)")
    assert command_line("alertnotify", "say %s", warning) == "say 'Unknown new rules activated (versionbit 28)'"


def test_a_unit() -> None:
    assert command_line("unitnotify", "%u %s %o %c %m", unit()) == "node failed starting disk-full 'no room'"
    assert command_line("unitnotify", "%c%m", unit(cause="", reason="")) == "none''"
    assert command_line("unitnotify", "%u %s", unit(unit="wallet@alice")) == "wallet@alice failed"
    assert command_line("unitnotify", "%u %s", unit(unit="wallet@a\\x20b")) == '"$BITCOIN_MP_UNIT" failed'


def test_what_stands_for_a_value_is_not_looked_through_again() -> None:
    assert command_line("walletnotify", "%w", transaction(wallet="b.s-h_9")) == "'b.s-h_9'"
    assert command_line("walletnotify", "%w", transaction(wallet="%s")) == '"$BITCOIN_MP_WALLET"'
    assert command_line("alertnotify", "%s", alert("100 %s of it")) == "'100 s of it'"


@pytest.mark.parametrize("notice", [tip("zz" * 32), tip(BLOCK + "\n"), tip("$(reboot)"), transaction(txid="1; reboot")])
def test_what_is_no_hash_runs_nothing(notice: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is no hash"):
        hooks.values(notice)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_environment_can_have_runs_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="no wallet's name"):
        hooks.values(transaction(wallet=name))


QUOTINGS = [
    "echo {}",
    "echo '{}'",
    'echo "{}"',
    "sh -c 'echo {}'",
    'sh -c "echo {}"',
    "echo '{} {}'",
    "echo {}{}",
    "eval echo {}",
]


@pytest.mark.parametrize("quoting", QUOTINGS)
@pytest.mark.parametrize(
    ("option", "letter", "notice"),
    [
        ("walletnotify", "%w", transaction(wallet=WICKED)),
        ("alertnotify", "%s", alert(WICKED)),
        ("unitnotify", "%m", unit(reason=WICKED)),
    ],
)
def test_no_shell_takes_it_for_a_command(
    tmp_path: Path, option: str, letter: str, notice: dict[str, Any], quoting: str
) -> None:
    """However an operator quotes it, but for eval, which asks for it with a wallet's name."""
    if "eval" in quoting and option == "walletnotify":
        quoting = "echo {}"
    known = hooks.values(notice)
    text = hooks.line(BY_OPTION[option], quoting.replace("{}", letter), known)
    environ = {"PATH": "/usr/bin:/bin", **hooks.variables(known)}
    subprocess.run(["/bin/sh", "-c", text], cwd=tmp_path, env=environ, check=False, capture_output=True, timeout=20)
    assert list(tmp_path.iterdir()) == []


def test_a_name_arrives_whole(tmp_path: Path) -> None:
    known = hooks.values(transaction(wallet=WICKED))
    text = hooks.line(BY_OPTION["walletnotify"], "printf FORMAT %w", known).replace("FORMAT", "%s")
    done = subprocess.run(
        ["/bin/sh", "-c", text],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", **hooks.variables(known)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == WICKED


def test_every_value_is_a_variable_too() -> None:
    assert hooks.variables(hooks.values(transaction(block=None, height=-1))) == {
        "BITCOIN_MP_WALLET": "alice",
        "BITCOIN_MP_TXID": TXID,
        "BITCOIN_MP_BLOCK": "unconfirmed",
        "BITCOIN_MP_HEIGHT": "-1",
        "BITCOIN_MP_NUMBER": "3",
    }


def configuration(tmp_path: Path, *options: str) -> Config:
    return load([f"-datadir={tmp_path}", "-regtest", *options], "bitcoind-mp", environ={})


def test_which_are_configured(tmp_path: Path) -> None:
    config = configuration(tmp_path, "-unitnotify=a %u", "-blocknotify=old", "-blocknotify=b", "-noalertnotify")
    assert [(hook.option, text) for hook, text in hooks.configured(config)] == [
        ("blocknotify", "b"),
        ("unitnotify", "a %u"),
    ]


def test_an_alert_that_is_over_runs_nothing() -> None:
    hook = BY_OPTION["alertnotify"]
    assert hook.applies(alert("x"))
    assert not hook.applies({**alert("x"), "raised": False})
