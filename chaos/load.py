"""Who uses the daemon meanwhile: payers, a miner and readers, each a thread that goes on whatever it is told."""

import contextlib
import random
import re
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from bitcoind_mp.interfaces.errors import RpcCode

from .daemon import Daemon
from .frontends import FrontEnd, RefusedError, SingleCommand, Socket, UnknownError, UnreachableError
from .record import Outcome, Payment, Record

PASSPHRASE = "a passphrase of the load's"
#: Refusals that processes which come and go, a full disk or money that is on its way account for.
PASSING = {
    RpcCode.WALLET_INSUFFICIENT_FUNDS,
    RpcCode.CLIENT_NOT_CONNECTED,
    RpcCode.WALLET_UNLOCK_NEEDED,
    RpcCode.WALLET_NOT_FOUND,
    RpcCode.DATABASE_ERROR,
    RpcCode.IN_WARMUP,
}
#: What a wallet answers whose signer was killed between hearing the passphrase and being asked to use it.
SIGNER_FORGOT = "The passphrase that the signer was told is not there"


class Actor(threading.Thread):
    """Acts until told to stop; what it is refused goes into the record."""

    pause = (0.05, 0.4)

    def __init__(self, name: str, front_end: FrontEnd, record: Record, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.front_end = front_end
        self.record = record
        self.chance = random.Random(seed)
        self.done = threading.Event()

    def run(self) -> None:
        try:
            while not self.done.wait(self.chance.uniform(*self.pause)):
                with contextlib.suppress(
                    RefusedError, UnreachableError, UnknownError
                ):  # written down where it was made
                    self.act()
        except Exception as error:  # noqa: BLE001 (one that ended early would pay nothing and be missed by no check)
            self.record.not_accounted_for(f"{self.name} ended early: {type(error).__name__}: {error}")
        finally:
            self.front_end.close()

    def act(self) -> None:
        raise NotImplementedError

    def make(self, front_end: FrontEnd, wallet: str | None, method: str, *params: Any) -> Any:
        """One call, counted, and its failure too."""
        self.record.called(front_end.name)
        try:
            return front_end.call(wallet, method, *params)
        except RefusedError as refused:
            self.record.failed(front_end.name, f"refused: {refused.code} {shortened(refused.message)}")
            if refused.code not in PASSING and not refused.message.startswith(SIGNER_FORGOT):
                self.record.not_accounted_for(f"{front_end.name}: {method} was refused: {refused}")
            raise
        except UnreachableError as error:
            self.record.failed(front_end.name, f"not taken: {shortened(str(error))}")
            raise
        except UnknownError as error:
            self.record.failed(front_end.name, f"outcome unknown: {shortened(str(error))}")
            raise


def shortened(text: str) -> str:
    """Enough of a message to count its like together."""
    line = text.partition("\n")[0]
    return re.sub(r"/\S*/(regtest|data)\b", "…", line)[:90]


class Payer(Actor):
    """Pays from one wallet to another, each time to a new address."""

    def __init__(self, payer: str, payee: str, front_end: FrontEnd, daemon: Daemon, record: Record, seed: int) -> None:
        super().__init__(f"{payer} pays {payee}", front_end, record, seed)
        self.payer, self.payee = payer, payee
        self._wallets = Socket(daemon, "wallet")
        self._person = SingleCommand(daemon)
        self._number = 0

    def act(self) -> None:
        self._number += 1
        label = f"{self.payer} {self._number}"
        address = self.make(self._wallets, self.payee, "getnewaddress", label)
        amount = Decimal(self.chance.randrange(10**5, 10**8)).scaleb(-8)
        outcome, txid, said = Outcome.ACKNOWLEDGED, "", ""
        try:
            txid = self.make(self.front_end, self.payer, "sendtoaddress", address, f"{amount:f}")
        except UnknownError as error:
            outcome, said = Outcome.UNKNOWN, str(error)
        except (RefusedError, UnreachableError) as error:
            outcome, said = Outcome.REFUSED, str(error)
        self.record.paid(Payment(address, label, self.payer, self.payee, amount, outcome, txid, said))
        if outcome is Outcome.REFUSED:
            self.refused(said)

    def refused(self, said: str) -> None:
        """What to do about it: unlock a wallet that its signer forgot, which takes a passphrase from the front end."""
        if said.startswith(str(int(RpcCode.WALLET_UNLOCK_NEEDED))):
            self.make(self._person, self.payer, "walletpassphrase", PASSPHRASE, 100_000)


class Miner(Actor):
    """Mines a block now and then to one of the wallets. One of them: two blocks mined at once are two of a height."""

    pause = (0.3, 1.2)

    def __init__(self, homes: Sequence[str], daemon: Daemon, record: Record, seed: int) -> None:
        super().__init__("miner", Socket(daemon, "node"), record, seed)
        self._homes = homes

    def act(self) -> None:
        self.record.mined(self.make(self.front_end, None, "generatetoaddress", 1, self.chance.choice(self._homes)))


class Reader(Actor):
    """Looks at everything, by single commands and by sockets."""

    pause = (0.2, 0.8)

    def __init__(self, wallets: Sequence[str], single: FrontEnd, daemon: Daemon, record: Record, seed: int) -> None:
        super().__init__("reader", single, record, seed)
        self._wallets = wallets
        self._sockets = {role: Socket(daemon, role) for role in ("supervisor", "node", "wallet", "signer")}

    def act(self) -> None:
        wallet = self.chance.choice(self._wallets)
        questions: list[tuple[FrontEnd, str | None, str]] = [
            (self.front_end, None, "getblockcount"),
            (self.front_end, None, "uptime"),
            (self.front_end, wallet, "getbalance"),
            (self._sockets["node"], None, "getmempoolinfo"),
            (self._sockets["wallet"], wallet, "listunspent"),
            (self._sockets["supervisor"], None, "status"),
            (self._sockets["signer"], None, "getsignerinfo"),
        ]
        self.make(*self.chance.choice(questions))
