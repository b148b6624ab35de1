"""What must hold in the end: each check is a function of what was found, and gives its complaints.

No process and no socket is known here; ``evidence.py`` finds.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from .record import Outcome, Payment

Complaints = list[str]


@dataclass(frozen=True)
class ChainState:
    """A tip and its coins: ``coins`` how many, ``total`` in BTC, ``digest`` over all of them."""

    height: int
    tip: str
    coins: int
    total: Decimal
    digest: str


@dataclass(frozen=True)
class WalletMoney:
    """``total`` is all that is a wallet's, however trusted; ``coins`` are its unspent outputs."""

    total: Decimal
    coins: frozenset[str]


@dataclass(frozen=True)
class WalletEntry:
    """One line of a wallet's list of transactions."""

    category: str
    address: str
    txid: str
    label: str


@dataclass
class Evidence:
    """``places``: for each address paid, the transactions in chain and mempool that pay it; ``wallets``: what each
    wallet lists."""

    chain: ChainState
    replayed: ChainState
    active: frozenset[str]
    places: Mapping[str, Sequence[str]]
    wallets: Mapping[str, Sequence[WalletEntry]]
    money: Mapping[str, WalletMoney]
    imported: Mapping[str, WalletMoney]
    left: Sequence[str] = field(default_factory=list)
    logs: Mapping[str, str] = field(default_factory=dict)


def chain_is_its_replay(ours: ChainState, replayed: ChainState) -> Complaints:
    """A node that was given the blocks and nothing else comes to the same tip and coins."""
    return [
        f"{name} is {getattr(ours, name)}, by a replay of the blocks {getattr(replayed, name)}"
        for name in ("height", "tip", "coins", "total", "digest")
        if getattr(ours, name) != getattr(replayed, name)
    ]


def blocks_are_there(acknowledged: Iterable[str], active: frozenset[str]) -> Complaints:
    return [f"block {hash} was acknowledged and isn't in the chain" for hash in acknowledged if hash not in active]


#: How often a payment of each outcome may be in the chain and the mempool.
TIMES = {Outcome.ACKNOWLEDGED: (1, 1), Outcome.REFUSED: (0, 0), Outcome.UNKNOWN: (0, 1)}


def payments_are_there_once(payments: Iterable[Payment], places: Mapping[str, Sequence[str]]) -> Complaints:
    """Exactly once where it was acknowledged, by the transaction that was named; never more often than its outcome
    allows."""
    complaints = []
    for payment in payments:
        found = places.get(payment.address, ())
        least, most = TIMES[payment.outcome]
        if not least <= len(found) <= most:
            complaints.append(f"{described(payment)} is in chain and mempool {len(found)} times: {list(found)}")
        elif payment.txid and payment.txid not in found:
            complaints.append(f"{described(payment)} was made by {found[0]}")
    return complaints


def wallets_know_them(
    payments: Iterable[Payment], places: Mapping[str, Sequence[str]], wallets: Mapping[str, Sequence[WalletEntry]]
) -> Complaints:
    """Who paid and who was paid list each payment that is there once, and the label that it was given."""
    entries = {(name, entry.category, entry.address): entry for name, all in wallets.items() for entry in all}
    times = Counter((name, entry.category, entry.address) for name, all in wallets.items() for entry in all)
    complaints = []
    for payment in payments:
        for wallet, category in ((payment.payer, "send"), (payment.payee, "receive")):
            key, there = (wallet, category, payment.address), len(places.get(payment.address, ()))
            if times[key] != there:
                complaints.append(f"{described(payment)} is listed as '{category}' by {wallet} {times[key]} times")
            elif there and category == "receive" and entries[key].label != payment.label:
                complaints.append(f"{described(payment)} has the label {entries[key].label!r} with {wallet}")
    return complaints


def described(payment: Payment) -> str:
    """Which one it is."""
    said = f" ({payment.said})" if payment.said else ""
    return f"payment {payment.label!r} to {payment.address}, {payment.txid or 'no txid'}, {payment.outcome}{said},"


def balances_are_an_imports(money: Mapping[str, WalletMoney], imported: Mapping[str, WalletMoney]) -> Complaints:
    """A wallet that was made of the same descriptors, by another process and another node, finds the same."""
    complaints = []
    for name, ours in money.items():
        theirs = imported[name]
        if ours.total != theirs.total:
            complaints.append(f"{name} has {ours.total} BTC, by a fresh import {theirs.total}")
        complaints += [f"{name} lacks the coin {coin}" for coin in sorted(theirs.coins - ours.coins)]
        complaints += [f"{name} has the coin {coin} too much" for coin in sorted(ours.coins - theirs.coins)]
    return complaints


#: Tracebacks that a fault accounts for: a piece of the text, and why. None does so far.
ACCOUNTED_TRACEBACKS: dict[str, str] = {}
_TIME = r"\d{4}-\d\d-\d\dT\S+ "


def no_tracebacks(logs: Mapping[str, str]) -> Complaints:
    """Each with the line before it, without what tells one time from another."""
    complaints = []
    for name, text in logs.items():
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if "Traceback (most recent call last)" in line:
                end = next((at for at in range(number + 1, len(lines)) if not lines[at].startswith(" ")), len(lines))
                about = "\n".join([*lines[max(0, number - 1) : number], *lines[number : end + 1]])
                if not any(piece in about for piece in ACCOUNTED_TRACEBACKS):
                    complaints.append(f"a traceback in {name}:\n{re.sub(_TIME, '', about)}")
    return complaints


def nothing_is_left(left: Sequence[str]) -> Complaints:
    return [f"left over: {each}" for each in left]


def all_checks(payments: Sequence[Payment], blocks: Sequence[str], evidence: Evidence) -> dict[str, Complaints]:
    """Each check's name, as the report has it, and its complaints."""
    return {
        "tip and coins are those of a replay from nothing": chain_is_its_replay(evidence.chain, evidence.replayed),
        "every block that was acknowledged is in the chain": blocks_are_there(blocks, evidence.active),
        "every payment is there exactly as often as was said": payments_are_there_once(payments, evidence.places),
        "payer and payee list each of them once": wallets_know_them(payments, evidence.places, evidence.wallets),
        "balances and coins are those of a fresh import": balances_are_an_imports(evidence.money, evidence.imported),
        "no process, socket, lock or temporary file is left": nothing_is_left(evidence.left),
        "no traceback in any log": no_tracebacks(evidence.logs),
    }
