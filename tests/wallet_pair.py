"""A node and a wallet process started by hand, as without a supervisor, for tests that kill and question them."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from forks import Launch, Launched, launch
from harness import rest

from bitcoind_mp import __version__
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.health import Health, HealthCheck
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc.client import connect
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.wire.blocking import call

ROOT = Path(__file__).resolve().parents[1]
DEADLINE = 60.0
STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def wait_for(condition: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
    """The condition's value once it is true. Errors of a connection that isn't there yet count as not yet."""
    begun = time.monotonic()
    while True:
        with contextlib.suppress(OSError, TimeoutError):
            value = condition()
            if value:
                return value
        assert time.monotonic() < begun + deadline, f"gave up waiting for {what}"
        rest(begun, 0.05)


#: A command of each, to see that it answers.
_QUESTIONS = {"node": "getmempoolinfo", "wallet": "listwallets", "signer": "getsignerinfo"}


class Pair:
    """Both in one data directory, and a signer where a test starts one. ``options`` are each
    one's command line; `command` may be changed for a process that is started in another way. With ``fork`` for
    ``launch`` they are forked from one that has imported their programs."""

    def __init__(self, directory: Path, launch: Launch = launch) -> None:
        self.launch = launch
        self.datadir = directory
        self.network = directory / "regtest"
        self.wallets = self.network / "wallets"
        self.processes: dict[str, Launched] = {}
        self.environment: dict[str, str] = {}
        self.chain_option = "-regtest"
        self.options = {"node": ["-listen=0"], "wallet": ["-keypool=5", "-fallbackfee=0.0002"], "signer": []}
        self.command = {role: [sys.executable, "-m", f"bitcoind_mp.{role}"] for role in self.options}

    def spawn(self, role: str) -> Launched:
        """Start a process; returns at once."""
        arguments = [self.chain_option, f"-datadir={self.datadir}", "-noconf", *self.options[role]]
        inherited = {
            name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "JOURNAL_STREAM")
        }
        self.processes[role] = self.launch(
            [*self.command[role], *arguments],
            {**inherited, **self.environment},
            ROOT,
            self.datadir / f"{role}.log",
        )
        return self.processes[role]

    def start(self, role: str) -> None:
        """Start a process and wait until it answers."""
        process = self.spawn(role)

        def answers() -> bool:
            assert process.poll() is None, f"the {role} ended with {process.returncode}:\n{self.log(role)[-3000:]}"
            try:
                self.ask(role, _QUESTIONS[role.partition("@")[0]])
            except RpcError as error:
                if error.code == RpcCode.IN_WARMUP:  # a busy machine takes longer than callers are kept in the queue
                    return False
                raise
            return True

        wait_for(answers, f"the {role} to answer")

    def kill(self, role: str) -> None:
        """SIGKILL."""
        process = self.processes.pop(role)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE)

    def stop(self, role: str) -> int:
        """SIGTERM; the exit status."""
        process = self.processes.pop(role)
        process.terminate()
        return process.wait(DEADLINE)

    def close(self) -> None:
        """Kill what runs."""
        for role in list(self.processes):
            self.kill(role)

    def log(self, role: str) -> str:
        """All that it has written to stderr."""
        return (self.datadir / f"{role}.log").read_text(errors="replace")

    def ask(self, role: str, method: str, *params: Any, wallet: str | None = None, timeout: float = DEADLINE) -> Any:
        """Call one of them."""
        return call(str(self.network / "run" / f"{role}.sock"), method, params, wallet=wallet, timeout=timeout)

    def node(self, method: str, *params: Any) -> Any:
        """A command of the node's."""
        return self.ask("node", method, *params)

    def w(self, method: str, *params: Any) -> Any:
        """A command about the wallet ``w``."""
        return self.ask("wallet", method, *params, wallet="w")

    def health(self, role: str = "wallet") -> Health:
        """What the process says of itself."""

        async def ask() -> Health:
            chain = self.chain_option.removeprefix("-chain=").removeprefix("-")
            hello = Hello("cli", PROTOCOL_VERSION, chain, __version__, os.getpid())
            session = await connect(self.network / "run" / f"{role}.sock", hello=hello)
            try:
                return await proxy(HealthCheck, session).check()
            finally:
                await session.close()

        return asyncio.run(ask())

    def mine(self, count: int = 1, address: str = "") -> list[str]:
        """Blocks to an address, by default a new one of ours."""
        blocks: list[str] = self.node("generatetoaddress", count, address or self.w("getnewaddress", "mining"))
        return blocks

    def until_synced(self) -> None:
        """Until the wallet knows the node's newest block."""
        wait_for(
            lambda: self.w("getwalletinfo")["lastprocessedblock"]["hash"] == self.node("getbestblockhash"),
            "the wallet to catch up",
        )

    def coins_by_the_wallet(self) -> dict[tuple[str, int], Decimal]:
        """What the wallet says it has: outpoint to amount."""
        found = self.w("listunspent", 0, 9999999, [], True, {"include_immature_coinbase": True})
        coins = {(coin["txid"], coin["vout"]): coin["amount"] for coin in found}
        assert len(coins) == len(found), "a coin is listed twice"
        return coins

    def coins_by_the_node(self) -> dict[tuple[str, int], Decimal]:
        """The same worked out from blocks and mempool alone, by asking whose each address is."""
        unspent: dict[tuple[str, int], tuple[Decimal, str]] = {}
        hashes = [self.node("getblockhash", height) for height in range(self.node("getblockcount") + 1)]
        txs = [tx for block in hashes for tx in self.node("getblock", block, 2)["tx"]]
        mempool = self.node("getrawmempool", True)
        for txid in sorted(mempool, key=lambda txid: mempool[txid]["ancestorcount"]):
            txs.append(self.node("getrawtransaction", txid, 1))
        for tx in txs:
            for tx_in in tx["vin"]:
                unspent.pop((tx_in.get("txid", ""), tx_in.get("vout", -1)), None)
            for out in tx["vout"]:
                if "address" in out["scriptPubKey"]:
                    unspent[tx["txid"], out["n"]] = (out["value"], out["scriptPubKey"]["address"])
        addresses = {address for _, address in unspent.values()}
        ours = {address for address in addresses if self.w("getaddressinfo", address)["ismine"]}
        return {outpoint: amount for outpoint, (amount, address) in unspent.items() if address in ours}
