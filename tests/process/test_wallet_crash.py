"""A real wallet process beside a real node, killed with SIGKILL at any moment with calls in flight.

The oracle is what the client was told: what was acknowledged is there afterwards, once. What was in flight may have
been done or not; never half.
"""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from forks import fork
from wallet_pair import DEADLINE, STRANGER, Pair, wait_for

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path, fork)
    pair.start("node")
    pair.start("wallet")
    yield pair
    pair.close()


class Client(threading.Thread):
    """Calls one thing after the other until told to stop; keeps what was acknowledged and what was in doubt."""

    def __init__(self, pair: Pair, seed: int) -> None:
        super().__init__(daemon=True)
        self.pair = pair
        self.random = random.Random(seed)
        self.stopping = threading.Event()
        self.labels: dict[str, str] = {}
        self.txids: dict[str, str] = {}
        self.doubtful: set[str] = set()
        self.count = 0
        self.errors: list[Exception] = []

    def run(self) -> None:
        while not self.stopping.is_set():
            self.count += 1
            tag = f"{self.name} {self.count}"
            action = self.random.choice((self.address, self.address, self.relabel, self.pay, self.mine))
            try:
                action(tag)
            except (Disconnected, CallTimeout):
                self.doubtful.add(tag)
            except OSError:
                self.stopping.wait(0.005)
            except RpcError as error:
                if error.code not in (-6, -9, -18, -28, -4):
                    self.errors.append(error)
                self.stopping.wait(0.005)

    def address(self, tag: str) -> None:
        address = self.pair.w("getnewaddress", tag, self.random.choice(("legacy", "p2sh-segwit", "bech32", "bech32m")))
        assert address not in self.labels, "an address was given twice"
        self.labels[address] = tag

    def relabel(self, tag: str) -> None:
        if self.labels:
            address = self.random.choice(list(self.labels))
            before = self.labels[address]
            self.labels[address] = f"{before} or {tag}"  # until the answer comes either may be true
            self.pair.w("setlabel", address, tag)
            self.labels[address] = tag

    def pay(self, tag: str) -> None:
        amount = round(self.random.uniform(0.01, 2), 8)
        to = self.random.choice([*self.labels, STRANGER])
        txid = self.pair.w("sendtoaddress", to, amount, tag)
        self.txids[txid] = tag

    def mine(self, tag: str) -> None:
        self.pair.mine(1, self.random.choice([*self.labels, STRANGER]))


def check(pair: Pair, client: Client) -> None:
    """What the client was told, and what the chain says, against what the wallet says."""
    assert client.errors == []
    for address, label in client.labels.items():
        info = pair.w("getaddressinfo", address)
        assert info["ismine"]
        assert info["labels"][0] in label.split(" or "), (info["labels"], label)
    for txid, tag in client.txids.items():
        assert pair.w("gettransaction", txid)["comment"] == tag
    by_comment: dict[str, set[str]] = {}
    for tx in pair.w("listtransactions", "*", 100_000):
        if "comment" in tx:
            by_comment.setdefault(tx["comment"], set()).add(tx["txid"])
    assert set(by_comment) <= {*client.txids.values(), *client.doubtful}
    assert all(len(txids) == 1 for txids in by_comment.values()), "a payment was made twice"
    assert pair.coins_by_the_wallet() == pair.coins_by_the_node()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_wallet_killed_at_any_moment_loses_and_doubles_nothing(pair: Pair, seed: int) -> None:
    pair.ask("wallet", "createwallet", "w")
    pair.mine(110)
    moments = random.Random(seed)
    client = Client(pair, seed)
    client.start()
    for _ in range(8):
        client.stopping.wait(moments.uniform(0, 0.6))  # the moment is what is tested
        pair.kill("wallet")
        pair.start("wallet")
        wait_for(lambda: pair.ask("wallet", "listwallets") == ["w"], "the wallet to be loaded again")
    # A busy machine gets little done between two kills: enough has to be acknowledged for the check to mean something.
    wait_for(lambda: len(client.labels) > 10 and len(client.txids) > 3, "addresses and payments to be acknowledged")
    client.stopping.set()
    client.join(DEADLINE)
    assert not client.is_alive()
    pair.until_synced()
    check(pair, client)
    pair.kill("wallet")
    pair.start("wallet")
    pair.until_synced()
    check(pair, client)
