"""A wallet process that dies again and again at the commits, renames and replies of a day's work.

In each of its lives it gets a few of these further, and dies just before or just after the next. The work is done step
by step; a step that was not answered is in doubt and is asked about after the restart. What was answered must be
there; what is there must be whole.
"""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forks import Launched, fork
from wallet_pair import DEADLINE, STRANGER, Pair, wait_for

from bitcoind_mp.interfaces.errors import RpcError

WORKER = Path(__file__).parent / "workers" / "dying_wallet.py"
#: More lives than any day takes.
MANY = 80
#: In each life, which commit, rename or reply is its last. Loading a wallet has some of its own, so that a day on which
#: fewer are granted would never end.
MOMENTS = [
    "commit:9:before",
    "commit:8:after",
    "commit:12:before",
    "commit:11:after",
    "rename:6:before",
    "rename:5:after",
    "reply:12:before",
    "reply:11:after",
]
XPRV = "tprv8ZgxMBicQKsPdBNKLoqKtUH2KdteQ3DGBFyUggY8i5Qi1v6km9UHTcEr8z9Ca3gGkvTDQY55k717u8WkF4JTpPN2dvmSnsC8VihU8YeVv3y"


class Day:
    """The steps, what was answered to each, and what is known of them."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.answers: dict[str, Any] = {}

    def work(self) -> bool:
        """Do what has not been answered yet; False if the wallet died."""
        pair = self.pair
        steps: list[tuple[str, Any]] = [
            ("create", lambda: pair.ask("wallet", "createwallet", "w", False, False, "", False, True, True)),
            ("fund", lambda: pair.mine(101)),
            ("address", lambda: pair.w("getnewaddress", "rent", "bech32m")),
            ("relabel", lambda: pair.w("setlabel", self.answers["address"], "rent of May")),
            ("change", lambda: pair.w("getrawchangeaddress")),
            ("pay", lambda: pair.w("sendtoaddress", STRANGER, 1, "for bread")),
            ("lock", self.lock),
            ("confirm", lambda: pair.mine(1, STRANGER)),
            ("backup", lambda: pair.w("backupwallet", str(pair.datadir / "backup.sqlite"))),
            ("second", lambda: pair.ask("wallet", "createwallet", "second", False, True, "", False, True, True)),
            ("import", self.import_descriptor),
            ("encrypt", lambda: pair.w("encryptwallet", "pass")),
            ("unlock", lambda: pair.w("walletpassphrase", "pass", 1000)),
            ("last", lambda: pair.w("getnewaddress", "last")),
            ("unload", self.unload),
        ]
        for name, step in steps:
            if name not in self.answers:
                try:
                    self.answers[name] = step()
                except OSError:  # Disconnected is one
                    return False
        return True

    def lock(self) -> Any:
        locked = self.pair.w("listlockunspent")
        if locked:  # by a call whose answer was lost
            return [locked[0]["txid"], locked[0]["vout"]]
        coin = self.pair.w("listunspent", 0)[0]
        self.pair.w("lockunspent", False, [{"txid": coin["txid"], "vout": coin["vout"]}], True)
        return [coin["txid"], coin["vout"]]

    def unload(self) -> Any:
        loaded = "second" in self.pair.ask("wallet", "listwallets")
        return self.pair.ask("wallet", "unloadwallet", "second", False) if loaded else {}

    def import_descriptor(self) -> Any:
        descriptor = f"wpkh({XPRV}/1/*)"
        checked = f"{descriptor}#{self.pair.node('getdescriptorinfo', descriptor)['checksum']}"
        # A scan that a death interrupted goes on by itself, and is alone.
        wait_for(lambda: not self.pair.ask("wallet", "getwalletinfo", wallet="second")["scanning"], "the scan to end")
        request = {"desc": checked, "timestamp": 0, "range": [0, 9]}
        return self.pair.ask("wallet", "importdescriptors", [request], wallet="second")

    def settled(self) -> bool:
        """After a restart: learn what became of the step in doubt, so that it isn't repeated. False if it died."""
        try:
            self.settle()
        except OSError:
            return False
        return True

    def settle(self) -> None:
        pair, answers = self.pair, self.answers
        listed = [wallet["name"] for wallet in pair.ask("wallet", "listwalletdir")["wallets"]]
        for name, step in (("w", "create"), ("second", "second")):
            if step in answers:
                assert name in listed
            elif name in listed:
                answers[step] = {"name": name}
            loaded = pair.ask("wallet", "listwallets")
            if name in listed and name not in loaded and not (name == "second" and "import" in answers):
                pair.ask("wallet", "loadwallet", name, True)
        if "pay" not in answers and "create" in answers:
            paid = [tx for tx in pair.w("listtransactions", "*", 1000) if tx.get("comment") == "for bread"]
            assert len(paid) <= 1
            if paid:
                answers["pay"] = paid[0]["txid"]
        if "encrypt" not in answers and "create" in answers and "unlocked_until" in pair.w("getwalletinfo"):
            answers["encrypt"] = "done"
        if "unlock" in answers and "last" not in answers:
            pair.w("walletpassphrase", "pass", 1000)

    def check(self) -> None:
        """What was answered against what is there."""
        pair, answers = self.pair, self.answers
        pair.until_synced()
        rent = pair.w("getaddressinfo", answers["address"])
        assert (rent["ismine"], rent["labels"], rent["ischange"]) == (True, ["rent of May"], False)
        assert pair.w("getaddressinfo", answers["change"])["ischange"]
        assert pair.w("getaddressinfo", answers["last"])["labels"] == ["last"]
        assert len({answers["address"], answers["change"], answers["last"]}) == 3
        assert pair.w("gettransaction", answers["pay"])["confirmations"] == 1
        txid, vout = answers["lock"]
        assert pair.w("listlockunspent") == [{"txid": txid, "vout": vout}]
        coins = pair.coins_by_the_wallet()
        truth = pair.coins_by_the_node()
        del truth[txid, vout]
        assert coins == truth
        info = pair.w("getwalletinfo")
        assert "unlocked_until" in info
        assert not info["scanning"]
        descriptors = pair.w("listdescriptors")["descriptors"]
        assert sum(one["active"] for one in descriptors) == 8
        assert len(descriptors) == 16
        assert XPRV.encode() not in b"".join(file.read_bytes() for file in (pair.wallets / "w").iterdir())
        settings = json.loads((pair.network / "settings.json").read_text())
        assert settings["wallet"] == ["w"]
        if "second" not in pair.ask("wallet", "listwallets"):
            pair.ask("wallet", "loadwallet", "second")
        imported = pair.ask("wallet", "listdescriptors", True, wallet="second")["descriptors"]
        assert [one["desc"].partition("#")[0] for one in imported] == [f"wpkh({XPRV}/1/*)"]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path, fork)
    pair.command["wallet"] = [sys.executable, str(WORKER)]
    pair.start("node")
    yield pair
    pair.close()


def live(pair: Pair, moment: str) -> tuple[Day, int]:
    """A day on which the wallet dies at that moment of each of its lives; and how many lives it took."""
    day = Day(pair)
    pair.environment["DIE_AT"] = moment
    for lives in range(1, MANY):
        process = pair.spawn("wallet")
        if serves(pair, process) and day.settled() and day.work():
            return day, lives
        assert process.wait(DEADLINE) == -signal.SIGKILL, pair.log("wallet")[-3000:]
    raise AssertionError(f"the day didn't end in {MANY} lives: {list(day.answers)}")


def serves(pair: Pair, process: Launched) -> bool:
    """Whether it came to answer before it died."""
    return bool(
        wait_for(lambda: process.poll() is not None or pair.ask("wallet", "listwallets") is not None, "the wallet")
        and process.poll() is None
    )


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_day_with_many_deaths_ends_as_one_without(pair: Pair, moment: str) -> None:
    try:
        day, lives = live(pair, moment)
        assert lives > 1
        pair.kill("wallet")
        pair.environment["DIE_AT"] = ""
        pair.start("wallet")
        assert day.settled()
        day.check()
    except RpcError as error:
        raise AssertionError(f"{error.message}\n{pair.log('wallet')[-3000:]}") from error
