"""Finds what ``checks.py`` judges: asks the daemon, then another one that is made from nothing, then the disk."""

import contextlib
import fcntl
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from .checks import ChainState, Evidence, WalletEntry, WalletMoney
from .daemon import OPTIONS, Daemon, wait_until

#: More entries than any run makes.
ALL_OF_THEM = 10_000_000


def gather(daemon: Daemon, wallets: Sequence[str], anew: Path) -> Evidence:
    """Everything; the daemon, and the one that is made in ``anew`` beside it, are stopped then. Raises GaveUpError."""
    hashes = settle(daemon, wallets)
    places: defaultdict[str, list[str]] = defaultdict(list)
    blocks = anew.parent / "blocks.hex"
    with blocks.open("w") as file:
        for hash in hashes:
            file.write(daemon.ask("node", "getblock", hash, 0) + "\n")
            for transaction in daemon.ask("node", "getblock", hash, 2)["tx"]:
                paid(transaction, places)
    for txid in daemon.ask("node", "getrawmempool"):
        paid(daemon.ask("node", "getrawtransaction", txid, True), places)
    chain = chain_state(daemon)
    listed = {name: entries(daemon, name) for name in wallets}
    money = {name: money_of(daemon, name) for name in wallets}
    descriptors = {name: daemon.ask("wallet", "listdescriptors", wallet=name)["descriptors"] for name in wallets}
    daemon.stop()
    replayed, imported = replay(Daemon(anew, *OPTIONS, "-listen=0", f"-loadblock={blocks}"), chain.height, descriptors)
    return Evidence(
        chain, replayed, frozenset(hashes), places, listed, money, imported, list(left_over(daemon)), logs_of(daemon)
    )


def settle(daemon: Daemon, wallets: Sequence[str]) -> list[str]:
    """Mine until nothing waits any more, if that comes; the chain's hashes."""
    home = daemon.ask("wallet", "getnewaddress", wallet=wallets[0])

    def settled() -> bool:
        daemon.ask("node", "generatetoaddress", 1, home)
        return not daemon.ask("node", "getrawmempool") and not any(waiting(daemon, name) for name in wallets)

    with contextlib.suppress(TimeoutError):
        _until(settled)
    height = daemon.ask("node", "getblockcount")
    tip = daemon.ask("node", "getbestblockhash")
    for name in wallets:
        wait_until(f"{name} is at the tip", partial(is_at, daemon, name, tip))
    return [daemon.ask("node", "getblockhash", number) for number in range(1, height + 1)]


def is_at(daemon: Daemon, wallet: str, tip: str) -> bool:
    """Whether that is the block that the wallet has come to."""
    return bool(daemon.ask("wallet", "getwalletinfo", wallet=wallet)["lastprocessedblock"]["hash"] == tip)


def _until(condition: Any) -> None:
    """For a while: what never settles is for the checks to complain about."""
    for _ in range(60):
        if condition():
            return
    raise TimeoutError


def waiting(daemon: Daemon, wallet: str) -> bool:
    """Whether a transaction of the wallet's isn't in a block."""
    newest = daemon.ask("wallet", "listtransactions", "*", 1000, wallet=wallet)
    return any(entry["confirmations"] == 0 and not entry.get("abandoned") for entry in newest)


def paid(transaction: dict[str, Any], places: defaultdict[str, list[str]]) -> None:
    for output in transaction["vout"]:
        if address := output["scriptPubKey"].get("address"):
            places[address].append(transaction["txid"])


def chain_state(daemon: Daemon) -> ChainState:
    found = daemon.ask("node", "gettxoutsetinfo")
    return ChainState(
        found["height"], found["bestblock"], found["txouts"], Decimal(found["total_amount"]), found["hash_serialized_3"]
    )


def entries(daemon: Daemon, wallet: str) -> list[WalletEntry]:
    """Everything that a wallet lists and that still counts."""
    return [
        WalletEntry(entry["category"], entry.get("address", ""), entry["txid"], entry.get("label", ""))
        for entry in daemon.ask("wallet", "listtransactions", "*", ALL_OF_THEM, wallet=wallet)
        if entry["confirmations"] >= 0 and not entry.get("abandoned")
    ]


def money_of(daemon: Daemon, wallet: str) -> WalletMoney:
    balances = daemon.ask("wallet", "getbalances", wallet=wallet)["mine"]
    coins = daemon.ask(
        "wallet", "listunspent", 0, 9_999_999, [], True, {"include_immature_coinbase": True}, wallet=wallet
    )
    amounts = [Decimal(balances[name]) for name in ("trusted", "untrusted_pending", "immature")]
    return WalletMoney(sum(amounts, Decimal(0)), frozenset(f"{coin['txid']}:{coin['vout']}" for coin in coins))


def replay(
    daemon: Daemon, height: int, descriptors: dict[str, list[dict[str, Any]]]
) -> tuple[ChainState, dict[str, WalletMoney]]:
    """The chain and the wallets as another node and another wallet find them, which have the blocks and the public
    descriptors alone."""
    try:
        daemon.start("-daemonwait")
        wait_until("the blocks are replayed", lambda: daemon.ask("node", "getblockcount") >= height)
        state = chain_state(daemon)
        money = {}
        for name, listed in descriptors.items():
            daemon.ask("wallet", "createwallet", name, True, True)
            wanted = [{**each, "timestamp": 0} for each in listed]
            for answer in daemon.ask("wallet", "importdescriptors", wanted, wallet=name):
                assert answer["success"], answer
            money[name] = money_of(daemon, name)
        daemon.stop()
    finally:
        daemon.kill_everything()
    return state, money


# What is left behind


#: Ends of names that are written and then renamed, or that exist while a database is open.
TEMPORARY = (".new", ".tmp", ".sqlite-wal", ".sqlite-shm", ".sqlite-journal", ".pid")
LOCKS = ("supervisor.lock", "node.lock", "wallet.lock", "signer.lock")


def left_over(daemon: Daemon) -> Iterator[str]:
    """Processes, sockets, locks that are held and temporary files."""
    for process in daemon.processes():
        with contextlib.suppress(Exception):
            yield f"process {process.pid}: {' '.join(process.cmdline())}"
    for path in sorted(daemon.directory.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode):
            yield f"socket or pipe {path}"
        elif path.name.endswith(TEMPORARY):
            yield f"temporary file {path}"
        elif path.name in LOCKS and is_locked(path):
            yield f"held lock {path}"


def is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def logs_of(daemon: Daemon) -> dict[str, str]:
    return {
        str(path.relative_to(daemon.directory)): path.read_text(errors="replace")
        for path in sorted((daemon.network / "logs").iterdir())
    }
