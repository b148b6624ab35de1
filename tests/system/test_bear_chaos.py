"""Two wallets pay each other and blocks are mined while node, wallet process and supervisor are killed at random.

The clients' own record of what was acknowledged is the oracle; in the end a fresh import of each wallet's descriptors
must find the same money in the chain.
"""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from acknowledged import Acknowledged
from harness import Daemon, wait_until

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError

SECONDS = 8.0
#: Refusals of processes that are coming or going, or that wait for one another; and money that is on its way.
PASSING = (-6, -9, -18, -28)


class Payer(threading.Thread):
    """Pays from one wallet to the other and has blocks mined to it, until told to stop."""

    _mining = threading.Lock()
    """Two blocks mined at once are two of one height, of which one is stale: as with Bitcoin Core."""

    def __init__(self, record: Acknowledged, wallet: str, to: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.record, self.wallet, self.to = record, wallet, to
        self.done = threading.Event()
        self.failed: list[Exception] = []
        self.doubtful = 0
        self._random = random.Random(seed)

    def run(self) -> None:
        while not self.done.is_set():
            try:
                self._act()
            except (Disconnected, CallTimeout):
                self.doubtful += 1
            except OSError:
                self.done.wait(0.02)
            except RpcError as error:
                if error.code not in PASSING:
                    self.failed.append(error)
                    return
                self.done.wait(0.05)

    def _act(self) -> None:
        match self._random.randrange(5):
            case 0:
                with self._mining:
                    self.record.mine(1, self._random.choice(list(self.record.addresses[self.wallet])))
            case 1:
                self.record.address(self.wallet, self._random.choice(("", "rent", "fun")))
            case _:
                amount = f"0.{self._random.randrange(10**6, 10**8):08}"
                self.record.pay(self.wallet, self._random.choice(list(self.record.addresses[self.to])), amount)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "d", "-keypool=20", "-fallbackfee=0.001", "-startlimit=0", "-restartmaxdelay=0.5")
    yield made
    made.clean_up()


def kill_one(daemon: Daemon, chance: random.Random) -> str:
    """SIGKILL to one of the three; a supervisor is started again, with or without waiting for its workers' end."""
    victim = chance.choice(("node", "wallet", "node", "wallet", "supervisor"))
    if victim == "supervisor":
        daemon.kill_supervisor()
        if chance.random() < 0.5:
            wait_until("nothing to be left", lambda: not daemon.processes())
        daemon.start()
    elif daemon.unit(victim)["pid"]:
        daemon.kill(victim)
    return victim


def test_payments_under_fire(daemon: Daemon) -> None:
    daemon.start()
    record = Acknowledged(daemon)
    for wallet in ("a", "b"):
        daemon.wallet(None, "createwallet", wallet, False, False, "", False, True, True)
        record.mine(10, record.address(wallet))
    record.mine(100, record.address("a"))
    payers = [Payer(record, "a", "b", 1), Payer(record, "b", "a", 2)]
    chance = random.Random(3)
    killed: list[str] = []
    end = time.monotonic() + SECONDS
    for payer in payers:
        payer.start()
    while time.monotonic() < end or len(set(killed)) < 3:
        assert not payers[0].done.wait(chance.uniform(0.2, 1.2))
        if not any(payer.failed for payer in payers):
            killed.append(kill_one(daemon, chance))
    for payer in payers:
        payer.done.set()
    for payer in payers:
        payer.join(60)
        assert not payer.is_alive()
        assert payer.failed == []
    daemon.until_running()
    paid = sum(map(len, record.txids.values()))
    print(f"{len(killed)} kills, {paid} payments, {len(record.blocks)} blocks; {[p.doubtful for p in payers]} in doubt")
    assert paid > 5
    record.check()
    record.mine(1, next(iter(record.addresses["a"])))
    for wallet in ("a", "b"):
        record.check_balance(wallet)
    assert daemon.tracebacks() == []
    daemon.stop()
