"""The bottom line of the shell: from what the servers told, to (style, text) pieces. Pure.

It changes when a notification came, and never otherwise.
"""

from dataclasses import dataclass, field
from typing import Any

from prompt_toolkit.utils import get_cwidth

from .highlight import Fragments

SEPARATOR = ("class:toolbar.separator", " │ ")
#: A unit's state -> how its name is shown.
_STYLES = {
    "running": "class:toolbar.good",
    "reloading": "class:toolbar.good",
    "starting": "class:toolbar.busy",
    "stopping": "class:toolbar.busy",
    "backoff": "class:toolbar.bad",
    "held": "class:toolbar.bad",
    "aborting": "class:toolbar.bad",
    "killing": "class:toolbar.bad",
    "failed": "class:toolbar.bad",
    "stopped": "class:toolbar.off",
}
_DOTS = {"stopped": "○", "failed": "×"}


@dataclass
class Seen:
    """What is known: each topic's newest state (`interfaces.events`), which servers are connected, the wallet
    chosen."""

    chain: str
    tip: dict[str, Any] | None = None
    mempool: dict[str, Any] | None = None
    balance: dict[str, Any] | None = None
    unit: dict[str, Any] | None = None
    connected: dict[str, bool] = field(default_factory=dict)
    wallet: str | None = None


#: What the line does without where it is too wide, the least first: names: of the units only short marks are left.
_DISPENSABLE = ("peers", "mempool", "chain", "names", "balance", "tip")


def fragments(seen: Seen, width: int | None = None) -> Fragments:
    """The line. Where it is wider than ``width`` columns it does without the least important parts: the units are last
    and must be seen."""
    line: Fragments = []
    for count in range(len(_DISPENSABLE) + 1):
        line = _line(seen, frozenset(_DISPENSABLE[:count]))
        if width is None or sum(get_cwidth(text) for _, text in line) <= width:
            break
    return line


def _line(seen: Seen, without: frozenset[str]) -> Fragments:
    parts: list[Fragments] = []
    node_up = seen.connected.get("node", False)
    if "chain" not in without:
        parts.append([("class:toolbar.chain", seen.chain)])
    if seen.tip is not None and "tip" not in without:
        parts.append(_tip(seen.tip, stale=not node_up, with_peers="peers" not in without))
    if seen.mempool is not None and node_up and "mempool" not in without:
        parts.append([("", f"mempool {seen.mempool['size']}")])
    if "balance" not in without:
        parts.append(_balance(seen))
    parts.append(_units(seen, short="names" in without))
    line: Fragments = []
    for part in parts:
        if part:
            line += [SEPARATOR if line else ("", " "), *part]
    return line


def _tip(tip: dict[str, Any], *, stale: bool, with_peers: bool) -> Fragments:
    height, headers = int(tip["height"]), int(tip.get("headers") or 0)
    text = f"height {height}"
    if headers > height:
        text += f" of {headers} ({100 * height // headers} %)"
    pieces = [("class:toolbar.off" if stale else "", text)]
    peers = int(tip.get("peers") or 0)
    if peers and with_peers and not stale:
        pieces.append(("", f", {peers} peer{'s' if peers > 1 else ''}"))
    return pieces


def chosen_wallet(seen: Seen) -> dict[str, Any] | None:
    """The state of the wallet that commands go to: the one chosen, else the only one."""
    wallets = (seen.balance or {}).get("wallets", [])
    if seen.wallet is None:
        return wallets[0] if len(wallets) == 1 else None
    return next((wallet for wallet in wallets if wallet["name"] == seen.wallet), None)


def _balance(seen: Seen) -> Fragments:
    if seen.balance is None:
        return []
    stale = not seen.connected.get("wallet", False)
    wallet = chosen_wallet(seen)
    if wallet is None:
        count = len(seen.balance.get("wallets", []))
        text = (
            "no wallet loaded"
            if not count
            else f"{count} wallets"
            if seen.wallet is None
            else f"{seen.wallet}: not loaded"
        )
        return [("class:toolbar.off", text)]
    pieces = [
        ("class:toolbar.off" if stale else "", f"{wallet['name'] or 'default wallet'} {coins(wallet['trusted'])} BTC")
    ]
    if wallet.get("pending"):
        pieces.append(("class:toolbar.busy", f" +{coins(wallet['pending'])}"))
    if wallet.get("scanning"):
        pieces.append(("class:toolbar.busy", " scanning"))
    return pieces


def _units(seen: Seen, *, short: bool) -> Fragments:
    """Each unit by the supervisor's word; without a supervisor, each worker by whether it is connected."""
    if seen.connected.get("supervisor") and seen.unit is not None:
        pieces: Fragments = []
        for unit in seen.unit["units"]:
            state = str(unit["state"])
            if unit["name"].startswith("wallet@") and state in ("running", "reloading") and unit.get("health") == "ok":
                continue  # there may be a hundred of them: those in trouble are seen
            style = _STYLES.get(state, "class:toolbar.busy")
            if state == "running" and unit.get("health") not in ("ok", None):
                style = "class:toolbar.busy"
                state = str(unit["health"])
            pieces += _unit(unit["name"], "" if state in ("running", "ok") else state, style, short, first=not pieces)
        return pieces
    pieces = []
    for role, up in seen.connected.items():
        if role != "supervisor" and (up or seen.connected.get("supervisor") is None):
            style, state = ("class:toolbar.good", "") if up else ("class:toolbar.busy", "away")
            pieces += _unit(role, state, style, short, first=not pieces)
    if any(seen.connected.values()):
        return pieces if short else [*pieces, ("class:toolbar.off", "  no supervisor")]
    return [("class:toolbar.bad", "not connected")]


def _unit(name: str, trouble: str, style: str, short: bool, *, first: bool) -> Fragments:
    """One unit; ``trouble`` is its state where that isn't simply running. The short mark is ``●n``, and ``!n`` for any
    trouble that has no mark of its own."""
    dot = _DOTS.get(trouble, "●")
    if short:
        return [("", "" if first else " "), (style, f"{dot if not trouble or trouble in _DOTS else '!'}{name[0]}")]
    return [("", "" if first else "  "), (style, f"{dot} {name} {trouble}".rstrip())]


def coins(satoshis: Any) -> str:
    """An amount in BTC, with its eight decimals."""
    whole, fraction = divmod(abs(int(satoshis)), 100_000_000)
    return f"{'-' if int(satoshis) < 0 else ''}{whole}.{fraction:08d}"
