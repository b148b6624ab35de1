"""The bottom line: golden texts."""

from typing import Any

import pytest

from bitcoind_mp.cli.interactive.toolbar import Seen, coins, fragments


def unit(name: str, state: str, health: str = "ok") -> dict[str, Any]:
    return {"name": name, "state": state, "health": health}


def wallet(name: str, trusted: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "trusted": trusted, "pending": 0, "immature": 0, "scanning": False, "height": 1, **more}


def seen(**changes: Any) -> Seen:
    usual: dict[str, Any] = {
        "tip": {"height": 112, "headers": 112, "peers": 0},
        "mempool": {"size": 3, "bytes": 600},
        "balance": {"wallets": [wallet("alice", 5_000_000_000)]},
        "unit": {"units": [unit("node", "running"), unit("wallet", "running")]},
        "connected": {"supervisor": True, "node": True, "wallet": True},
    }
    return Seen("regtest", **{**usual, **changes})


def line(state: Seen) -> str:
    return "".join(text for _, text in fragments(state))


def style_of(state: Seen, text: str) -> str:
    return next(style for style, piece in fragments(state) if text in piece)


def test_all_well() -> None:
    assert line(seen()) == " regtest │ height 112 │ mempool 3 │ alice 50.00000000 BTC │ ● node  ● wallet"


def test_nothing_known_yet() -> None:
    assert line(Seen("main")) == " main │ not connected"


def test_catching_up_with_peers() -> None:
    state = seen(tip={"height": 400, "headers": 1000, "peers": 1})
    assert "height 400 of 1000 (40 %), 1 peer │" in line(state)


def test_what_is_pending_and_scanned() -> None:
    state = seen(balance={"wallets": [wallet("", 1, pending=150_000_000, scanning=True)]})
    assert "default wallet 0.00000001 BTC +1.50000000 scanning" in line(state)


@pytest.mark.parametrize(
    ("wallets", "chosen", "text"),
    [
        ([], None, "no wallet loaded"),
        ([wallet("a", 1), wallet("b", 2)], None, "2 wallets"),
        ([wallet("a", 0), wallet("b", 200_000_000)], "b", "b 2.00000000 BTC"),
        ([wallet("a", 0)], "gone", "gone: not loaded"),
    ],
)
def test_the_wallet_that_is_meant(wallets: list[dict[str, Any]], chosen: str | None, text: str) -> None:
    assert f"│ {text} │" in line(seen(balance={"wallets": wallets}, wallet=chosen))


def test_units_in_trouble() -> None:
    state = seen(unit={"units": [unit("node", "failed", "failed"), unit("wallet", "running", "degraded")]})
    assert line(state).endswith("│ × node failed  ● wallet degraded")
    assert style_of(state, "node failed") == "class:toolbar.bad"
    assert style_of(state, "wallet degraded") == "class:toolbar.busy"
    assert line(seen(unit={"units": [unit("wallet", "stopped")]})).endswith("│ ○ wallet stopped")


def test_what_a_server_that_is_away_told_is_shown_as_old() -> None:
    away = seen(connected={"supervisor": True, "node": False, "wallet": False})
    assert style_of(away, "height 112") == "class:toolbar.off"
    assert style_of(away, "alice") == "class:toolbar.off"
    assert "mempool" not in line(away)


def test_workers_without_a_supervisor() -> None:
    assert line(seen(connected={"supervisor": False, "node": True, "wallet": True})).endswith(
        "● node  ● wallet  no supervisor"
    )
    assert line(seen(connected={"node": True, "wallet": False})).endswith("● node  ● wallet away  no supervisor")
    assert line(seen(connected={"supervisor": False, "node": False})).endswith("not connected")


@pytest.mark.parametrize(
    ("satoshis", "text"),
    [
        (0, "0.00000000"),
        (1, "0.00000001"),
        (150_000_000, "1.50000000"),
        (-123_456_789, "-1.23456789"),
        (2_100_000_000_000_000, "21000000.00000000"),
    ],
)
def test_amounts(satoshis: int, text: str) -> None:
    assert coins(satoshis) == text


def test_a_narrow_terminal_still_shows_the_units() -> None:
    state = seen(tip={"height": 112, "headers": 112, "peers": 8})

    def at(width: int) -> str:
        return "".join(text for _, text in fragments(state, width))

    assert at(90) == " regtest │ height 112, 8 peers │ mempool 3 │ alice 50.00000000 BTC │ ● node  ● wallet"
    assert at(80) == " regtest │ height 112 │ mempool 3 │ alice 50.00000000 BTC │ ● node  ● wallet"
    assert at(70) == " regtest │ height 112 │ alice 50.00000000 BTC │ ● node  ● wallet"
    assert at(60) == " height 112 │ alice 50.00000000 BTC │ ● node  ● wallet"
    assert at(50) == " height 112 │ alice 50.00000000 BTC │ ●n ●w"
    assert at(30) == " height 112 │ ●n ●w"
    assert at(10) == " ●n ●w"


def test_a_name_in_wide_characters_takes_two_columns_each() -> None:
    state = seen(balance={"wallets": [wallet("貯金箱", 0)]})
    whole = line(state)
    assert "regtest" in whole

    def at(width: int) -> str:
        return "".join(text for _, text in fragments(state, width))

    assert at(len(whole) + 3) == whole
    assert at(len(whole) + 2) != whole


def test_short_marks_tell_trouble_apart() -> None:
    def marks(*units: dict[str, Any]) -> str:
        return "".join(text for _, text in fragments(seen(unit={"units": units}), 10)).strip()

    assert marks(unit("node", "failed"), unit("wallet", "stopped")) == "×n ○w"
    assert marks(unit("node", "backoff"), unit("wallet", "running", "degraded")) == "!n !w"
    assert "".join(text for _, text in fragments(seen(connected={"node": True}), 10)).strip() == "●n"
