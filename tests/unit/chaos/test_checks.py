"""Each check of `make chaos` sees a right state pass and refuses each wrong one."""

from dataclasses import replace
from decimal import Decimal

import pytest

from chaos import checks
from chaos.checks import ChainState, Evidence, WalletEntry, WalletMoney
from chaos.record import Outcome, Payment

TXID, OTHER = "aa" * 32, "bb" * 32
CHAIN = ChainState(120, "cc" * 32, 300, Decimal("5500.0"), "dd" * 32)
PAID = Payment("bcrt1paid", "alice 1", "alice", "bob", Decimal("0.5"), Outcome.ACKNOWLEDGED, TXID)
REFUSED = Payment("bcrt1refused", "alice 2", "alice", "bob", Decimal("0.5"), Outcome.REFUSED, said="-6 no money")
LOST = Payment("bcrt1lost", "alice 3", "alice", "bob", Decimal("0.5"), Outcome.UNKNOWN, said="Disconnected")
PAYMENTS = (PAID, REFUSED, LOST)
PLACES = {PAID.address: [TXID]}
WALLETS = {
    "alice": [WalletEntry("send", PAID.address, TXID, "")],
    "bob": [WalletEntry("receive", PAID.address, TXID, "alice 1")],
}
MONEY = {"alice": WalletMoney(Decimal(5), frozenset({f"{TXID}:1"})), "bob": WalletMoney(Decimal(1), frozenset())}


def test_a_right_state_has_no_complaint() -> None:
    evidence = Evidence(
        CHAIN, CHAIN, frozenset({"h1", "h2"}), PLACES, WALLETS, MONEY, MONEY, [], {"node.log": "fine\n"}
    )
    found = checks.all_checks(PAYMENTS, ["h1", "h2"], evidence)
    assert len(found) == 7
    assert not any(found.values())


@pytest.mark.parametrize(
    "change", [{"height": 119}, {"tip": OTHER}, {"coins": 299}, {"total": Decimal("5500.00000001")}, {"digest": OTHER}]
)
def test_another_chain_than_its_replay(change: dict[str, object]) -> None:
    (complaint,) = checks.chain_is_its_replay(CHAIN, replace(CHAIN, **change))  # type: ignore[arg-type]
    assert complaint.startswith(next(iter(change)))


def test_a_lost_block() -> None:
    assert checks.blocks_are_there(["h1", "h2"], frozenset({"h1"})) == [
        "block h2 was acknowledged and isn't in the chain"
    ]


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ({}, "acknowledged, is in chain and mempool 0 times"),
        ({PAID.address: [TXID, OTHER]}, "acknowledged, is in chain and mempool 2 times"),
        ({PAID.address: [TXID, TXID]}, "acknowledged, is in chain and mempool 2 times"),
        ({PAID.address: [OTHER]}, f"was made by {OTHER}"),
        ({**PLACES, REFUSED.address: [OTHER]}, "refused (-6 no money), is in chain and mempool 1 times"),
        ({**PLACES, LOST.address: [OTHER, TXID]}, "unknown (Disconnected), is in chain and mempool 2 times"),
    ],
)
def test_a_payment_that_is_there_too_seldom_or_too_often(places: dict[str, list[str]], words: str) -> None:
    (complaint,) = checks.payments_are_there_once(PAYMENTS, places)
    assert words in complaint


def test_one_of_unknown_outcome_may_be_there_and_is_then_listed_once() -> None:
    places = {**PLACES, LOST.address: [OTHER]}
    assert checks.payments_are_there_once(PAYMENTS, places) == []
    assert len(checks.wallets_know_them(PAYMENTS, places, WALLETS)) == 2
    listed = {
        "alice": [*WALLETS["alice"], WalletEntry("send", LOST.address, OTHER, "")],
        "bob": [*WALLETS["bob"], WalletEntry("receive", LOST.address, OTHER, "alice 3")],
    }
    assert checks.wallets_know_them(PAYMENTS, places, listed) == []


@pytest.mark.parametrize(
    ("wallets", "words"),
    [
        ({**WALLETS, "alice": []}, "listed as 'send' by alice 0 times"),
        ({**WALLETS, "alice": WALLETS["alice"] * 2}, "listed as 'send' by alice 2 times"),
        ({**WALLETS, "bob": []}, "listed as 'receive' by bob 0 times"),
        ({**WALLETS, "bob": WALLETS["bob"] * 2}, "listed as 'receive' by bob 2 times"),
        ({**WALLETS, "bob": [replace(WALLETS["bob"][0], label="")]}, "has the label '' with bob"),
        ({**WALLETS, "bob": [*WALLETS["bob"], WalletEntry("receive", REFUSED.address, OTHER, "")]}, "by bob 1 times"),
    ],
)
def test_a_wallet_that_lost_or_doubled_one(wallets: dict[str, list[WalletEntry]], words: str) -> None:
    (complaint,) = checks.wallets_know_them(PAYMENTS, PLACES, wallets)
    assert words in complaint


@pytest.mark.parametrize(
    ("imported", "words"),
    [
        (WalletMoney(Decimal("4.99999999"), MONEY["alice"].coins), "alice has 5 BTC, by a fresh import 4.99999999"),
        (WalletMoney(Decimal(5), frozenset()), f"alice has the coin {TXID}:1 too much"),
        (WalletMoney(Decimal(5), MONEY["alice"].coins | {f"{OTHER}:0"}), f"alice lacks the coin {OTHER}:0"),
    ],
)
def test_a_balance_that_no_import_finds(imported: WalletMoney, words: str) -> None:
    assert checks.balances_are_an_imports(MONEY, {**MONEY, "alice": imported}) == [words]


def test_a_traceback_in_any_log() -> None:
    trace = "Traceback (most recent call last):\n  File x\n    call()\nValueError: no\n"
    text = f"fine\n2026-11-29T02:15:36Z [wallet:error] it failed\n{trace}2026-11-29T02:15:37Z [wallet] goes on\n"
    complaints = checks.no_tracebacks({"node.log": "fine\n", "wallet.log.1": text, "wallet.log": text + trace})
    assert complaints[0] == f"a traceback in wallet.log.1:\n[wallet:error] it failed\n{trace.rstrip()}"
    assert len(complaints) == 3


def test_something_left_over() -> None:
    assert checks.nothing_is_left(["socket or pipe run/node.sock"]) == ["left over: socket or pipe run/node.sock"]
