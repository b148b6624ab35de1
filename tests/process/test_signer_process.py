"""The signer as a process of its own: killed, cut off from its disk, asked by a wallet that isn't to be trusted."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from btclib_wallet.bip32.bip32 import BIP32KeyData
from forks import fork
from harness import Daemon, wait_until
from memory import found_in_memory
from small_disk import SmallDisk
from wallet_pair import DEADLINE, STRANGER, Pair, wait_for

from bitcoind_mp import __version__
from bitcoind_mp.interfaces.errors import ExitStatus, RpcCode, RpcError
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.interfaces.signer import KeySet, Signer
from bitcoind_mp.ipc.client import connect
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.sandbox import landlock

PASSPHRASE = "correct horse battery staple"
PROBED = Path(__file__).resolve().parent / "workers" / "probed.py"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path, fork)
    pair.options["wallet"].append("-signerprocess=1")
    pair.options["signer"].append("-signerrelay=1")  # these tests are not about the front end
    yield pair
    pair.close()


def refusal(work: Any, *arguments: Any) -> RpcError:
    try:
        work(*arguments)
    except RpcError as error:
        return error
    raise AssertionError("it was not refused")


def rich(pair: Pair) -> None:
    """All three run, and the wallet ``w`` has coins and is unlocked."""
    for role in ("node", "signer", "wallet"):
        pair.start(role)
    pair.ask("wallet", "createwallet", "w", False, False, PASSPHRASE)
    pair.mine(103)
    pair.until_synced()
    pair.w("walletpassphrase", PASSPHRASE, 600)


def pay(pair: Pair, amount: float = 1) -> str:
    txid: str = pair.w("sendtoaddress", STRANGER, amount)
    return txid


class Paying(threading.Thread):
    """A payment on its way."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(daemon=True)
        self._pair = pair
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = pay(self._pair)
        except (RpcError, OSError) as error:
            self.outcome = error

    def wait(self) -> Any:
        self.join(DEADLINE)
        assert self.outcome is not None, "the payment neither succeeded nor failed"
        return self.outcome


def problems_of(path: Path) -> list[str]:
    """What a process calls wrong with itself."""

    async def ask() -> list[str]:
        session = await connect(path, hello=Hello("cli", PROTOCOL_VERSION, "regtest", __version__, os.getpid()))
        problems: list[str] = (await session.call("health.check"))["problems"]
        await session.close()
        return problems

    return asyncio.run(ask())


def asked(pair: Pair) -> dict[str, Any]:
    """The request that waits for the owner's word."""
    (request,) = wait_for(lambda: pair.ask("signer", "listsigningrequests"), "a request")
    return request


def test_killed_it_forgets_what_was_unlocked_and_nothing_else(pair: Pair) -> None:
    rich(pair)
    txid = pay(pair)
    replaced = pair.w("bumpfee", txid)["txid"]
    assert replaced in pair.node("getrawmempool")
    assert pair.w("getwalletinfo")["unlocked_until"] > 0
    pair.kill("signer")
    wait_for(lambda: pair.w("getwalletinfo")["unlocked_until"] == 0, "the wallet to notice")
    assert refusal(pay, pair).code == RpcCode.WALLET_UNLOCK_NEEDED
    error = refusal(pair.w, "walletpassphrase", PASSPHRASE, 60)
    assert error.code == RpcCode.CLIENT_NOT_CONNECTED
    assert error.message.startswith("The signer, which holds this wallet's private keys, can't be reached (")
    assert pair.w("getbalance") > 0
    assert pair.w("getnewaddress")
    pair.start("signer")
    assert refusal(pay, pair).code == RpcCode.WALLET_UNLOCK_NEEDED
    pair.w("walletpassphrase", PASSPHRASE, 60)
    assert pay(pair) in pair.node("getrawmempool")
    info = pair.ask("signer", "getsignerinfo")
    assert [one["wallet"] for one in info["keysets"]] == ["w"]
    assert 2 < float(info["spent"]) < 2.01  # a payment and its replacement are one


def test_killed_while_it_waits_for_the_owner(pair: Pair) -> None:
    pair.options["signer"] += ["-signerconfirm=always"]
    rich(pair)
    paying = Paying(pair)
    assert asked(pair)["pays"] == [{"to": STRANGER, "amount": "1.00000000"}]
    pair.kill("signer")
    error = paying.wait()
    assert error.code == RpcCode.CLIENT_NOT_CONNECTED
    assert "Nothing was sent; unlock the wallet and try again." in error.message
    assert pair.node("getrawmempool") == []
    pair.start("signer")
    assert pair.ask("signer", "listsigningrequests") == []
    pair.w("walletpassphrase", PASSPHRASE, 60)
    paying = Paying(pair)
    pair.ask("signer", "confirmsigning", asked(pair)["id"])
    txid = paying.wait()
    assert pair.node("getrawmempool") == [txid]
    paying = Paying(pair)
    pair.ask("signer", "rejectsigning", asked(pair)["id"])
    assert "the owner rejected it" in paying.wait().message


def test_a_killed_wallet_asks_no_longer(pair: Pair) -> None:
    pair.options["signer"] += ["-signerconfirm=always"]
    rich(pair)
    paying = Paying(pair)
    asked(pair)
    pair.kill("wallet")
    assert isinstance(paying.wait(), OSError)
    wait_for(lambda: pair.ask("signer", "listsigningrequests") == [], "the request to go")
    pair.start("wallet")
    assert pair.w("getwalletinfo")["unlocked_until"] == 0
    assert refusal(pay, pair).code == RpcCode.WALLET_UNLOCK_NEEDED


def test_a_killed_wallet_leaves_no_key_unlocked(pair: Pair) -> None:
    """Its next process says that the wallet is locked, and so it is."""
    rich(pair)
    assert [one["unlocked"] for one in pair.ask("signer", "getsignerinfo")["keysets"]] == [True]
    pair.kill("wallet")
    wait_for(
        lambda: [one["unlocked"] for one in pair.ask("signer", "getsignerinfo")["keysets"]] == [False],
        "the keys to be locked",
    )
    pair.start("wallet")
    assert refusal(pay, pair).code == RpcCode.WALLET_UNLOCK_NEEDED
    pair.w("walletpassphrase", PASSPHRASE, 600)
    assert pay(pair)


def test_the_limits_hold_over_a_kill(pair: Pair) -> None:
    pair.options["signer"] += ["-signermaxday=2.5"]
    rich(pair)
    for _ in range(2):
        pay(pair)
        pair.kill("signer")
        pair.start("signer")
        pair.w("walletpassphrase", PASSPHRASE, 60)
    error = refusal(pay, pair)
    assert error.code == RpcCode.WALLET_ERROR
    assert "would be spent in 24 hours, more than -signermaxday=2.50000000" in error.message
    pay(pair, 0.3)


def test_killed_at_any_moment_it_counts_no_less_than_was_paid(pair: Pair) -> None:
    """And its log is whole: else it would not start again."""
    rich(pair)
    log = pair.network / "signer" / "audit.log"
    for growth in (0, 1, 2, 1, 0):
        wanted = log.read_text().count("\n") + growth
        paying = Paying(pair)
        wait_for(partial(_has_grown, log, wanted, paying), "the log to grow")
        pair.kill("signer")
        paying.wait()
        pair.start("signer")
        pair.w("walletpassphrase", PASSPHRASE, 600)
    paid = [tx["txid"] for tx in pair.w("listtransactions", "*", 100) if tx["category"] == "send"]
    assert float(pair.ask("signer", "getsignerinfo")["spent"]) >= len(set(paid))
    assert pay(pair) in pair.node("getrawmempool")


def _has_grown(log: Path, wanted: int, paying: Paying) -> bool:
    return log.read_text().count("\n") >= wanted or paying.outcome is not None


def test_a_wallet_is_no_owner(pair: Pair) -> None:
    """Whoever has the wallet's lock, and what came from it, can neither confirm nor see keys: here, this process."""
    pair.start("signer")
    assert pair.ask("signer", "getsignerinfo")["keysets"] == []
    keys = made_elsewhere(pair)
    assert refusal(pair.ask, "signer", "signer.make", "w", PASSPHRASE).code == RpcCode.METHOD_NOT_FOUND
    (pair.network / "wallet.lock").write_text(f"{os.getpid()}\n")
    for command in (
        ["getsignerinfo"],
        ["listsigningrequests"],
        ["confirmsigning", "00"],
        ["exportsignerkeys", keys, PASSPHRASE],
        ["locksigner"],
    ):
        assert refusal(pair.ask, "signer", *command).code == RpcCode.METHOD_NOT_FOUND
    child = (
        "import sys; from bitcoind_mp.ipc.wire.blocking import call\n"
        "try: print(call(sys.argv[1], 'exportsignerkeys', sys.argv[2:]))\n"
        "except Exception as error: print(error)"
    )
    told = subprocess.run(
        [sys.executable, "-c", child, str(pair.network / "run" / "signer.sock"), keys, PASSPHRASE],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert told.stdout.startswith("Method not found: the signer answers its owner alone")
    (pair.network / "wallet.lock").write_text("")
    assert pair.ask("signer", "exportsignerkeys", keys, PASSPHRASE)["xprv"].startswith("tprv")


def made_elsewhere(pair: Pair) -> str:
    """The id of keys that a wallet's process had made."""
    script = (
        "import asyncio, sys\n"
        "from test_signer_process import make\n"
        "print(asyncio.run(make(sys.argv[1], sys.argv[2])).id)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(pair.network / "run" / "signer" / "wallet.sock"), PASSPHRASE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )
    return told.stdout.strip()


async def make(path: str, passphrase: str) -> KeySet:
    hello = Hello("wallet", PROTOCOL_VERSION, "regtest", __version__, os.getpid())
    session = await connect(path, hello=hello)
    try:
        return await proxy(Signer, session).make("w", passphrase)  # type: ignore[type-abstract]
    finally:
        await session.close()


def test_who_came_in_as_a_wallet_is_no_owner_afterwards(pair: Pair) -> None:
    """As one that has a lock by another name (-onlywallet), without a supervisor that knows it."""
    pair.start("signer")
    assert pair.ask("signer", "getsignerinfo")["keysets"] == []
    asyncio.run(make(str(pair.network / "run" / "signer" / "wallet.sock"), PASSPHRASE))
    assert refusal(pair.ask, "signer", "getsignerinfo").code == RpcCode.METHOD_NOT_FOUND


def test_no_secret_comes_into_the_wallet_s_files_or_any_log(pair: Pair) -> None:
    pair.options["wallet"].append("-debug=all")
    pair.options["signer"] += ["-debug=all"]
    rich(pair)
    pay(pair)
    (keyset,) = pair.ask("signer", "getsignerinfo")["keysets"]
    xprv = pair.ask("signer", "exportsignerkeys", keyset["keyset"], PASSPHRASE)["xprv"]
    pair.w("backupwallet", str(pair.datadir / "copy"))
    files = [path for path in pair.datadir.rglob("*") if path.is_file() and path.stat().st_size < 10_000_000]
    assert pair.datadir / "copy" in files
    assert pair.datadir / "signer.log" in files
    for path in files:
        content = path.read_bytes()
        assert xprv.encode() not in content, path
        assert PASSPHRASE.encode() not in content, path


def test_no_key_comes_into_the_wallet_s_memory(pair: Pair) -> None:
    rich(pair)
    pay(pair)
    (keyset,) = pair.ask("signer", "getsignerinfo")["keysets"]
    xprv = pair.ask("signer", "exportsignerkeys", keyset["keyset"], PASSPHRASE)["xprv"]
    pair.ask("wallet", "createwallet", "own")
    listed = pair.ask("wallet", "listdescriptors", True, wallet="own")["descriptors"][0]["desc"]
    own = re.search(r"tprv\w+", listed)
    assert own is not None
    found = found_in_memory(pair.processes["wallet"].pid, [*_forms(own.group()), *_forms(xprv)])
    assert found == [True, True, False, False]  # those of a wallet that keeps its own are there, as ever


def _forms(xprv: str) -> list[bytes]:
    """A key as text, and as its 32 bytes."""
    return [xprv.encode(), BIP32KeyData.b58decode(xprv).key[1:]]


@pytest.mark.skipif(landlock.version() < 6, reason="this kernel has no Landlock of ABI 6 or later")
def test_what_code_inside_it_can_reach(pair: Pair) -> None:
    """The same attempts are made with -sandbox=off: one that fails there too would prove nothing."""
    attempts = [
        "import socket; socket.socket(socket.AF_INET).close()",
        "import socket; socket.socket(socket.AF_UNIX).close()",
        "os.listdir(network / 'wallets')",
        "(network / 'wallets' / 'stray').write_text('')",
        "(network / 'supervisor.lock').write_text('')",
        "(network / 'wallet.lock').write_text('')",
        "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)",
    ]
    outcomes = []
    pair.command["signer"] = [sys.executable, str(PROBED), "signer"]
    for options in ([], ["-sandbox=off"]):
        pair.options["signer"] = ["-signerrelay=1", *options]
        pair.start("signer")
        given = f"network = Path({str(pair.network)!r})\n"
        outcomes.append([pair.ask("signer", "intrude", given + attempt) for attempt in attempts])
        pair.stop("signer")
    confined, free = outcomes
    assert all(re.match(r"(PermissionError|OSError: \[Errno 97\])", outcome) for outcome in confined), confined
    assert free == ["done"] * len(attempts)


def test_a_log_that_was_cut_stops_it(pair: Pair) -> None:
    rich(pair)
    pair.stop("signer")
    log = pair.network / "signer" / "audit.log"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-1]))
    process = pair.spawn("signer")
    assert process.wait(DEADLINE) == ExitStatus.DATA_CORRUPT
    assert f"it has {len(lines) - 1} lines, and {len(lines)} were written" in pair.log("signer")
    assert "Traceback" not in pair.log("signer")
    pair.options["signer"] += ["-signernewlog=1"]
    pair.start("signer")
    assert json.loads(log.read_text().splitlines()[0])["event"] == "new log"
    assert len(list(log.parent.glob("audit.log.damaged-*"))) == 1
    pair.w("walletpassphrase", PASSPHRASE, 60)
    pay(pair)


def test_without_room_for_its_record_it_signs_nothing(pair: Pair) -> None:
    disk = SmallDisk(pair.network / "signer", "1m")
    try:
        rich(pair)
        disk.fill()
        error = refusal(pay, pair)
        assert error.code == RpcCode.DATABASE_ERROR
        assert "The signer can't keep its record" in error.message
        assert pair.node("getrawmempool") == []
        disk.free()
        txid = pay(pair)
        assert pair.node("getrawmempool") == [txid]
        pair.kill("signer")
        pair.start("signer")
    finally:
        pair.close()
        disk.unmount()


def test_both_backups_bring_a_wallet_back_in_a_fresh_directory(pair: Pair, tmp_path: Path) -> None:
    rich(pair)
    (signed,) = pair.ask("signer", "getsignerinfo")["keysets"]
    answer = pair.w("backupwallet", str(pair.datadir / "copy"))
    assert "holds no private keys" in answer["warning"]
    assert signed["keyset"] in answer["warning"]
    text = pair.ask("signer", "backupsigner")
    assert PASSPHRASE not in text
    assert "prv" not in text
    for role in ("wallet", "signer"):
        pair.stop(role)
    for name in ("signer", "wallets"):
        (pair.network / name).rename(pair.datadir / f"lost {name}")
    for role in ("signer", "wallet"):
        pair.start(role)
    restored = pair.ask("wallet", "restorewallet", "w", str(pair.datadir / "copy"))
    assert "Nothing can be signed for this wallet: The signer has no keys by" in restored["warnings"][0]
    assert (
        "The wallet 'w' can't sign: The signer has no keys by the name of"
        in problems_of(pair.network / "run" / "wallet.sock")[0]
    )
    assert "The signer has no keys by the name of" in refusal(pair.w, "walletpassphrase", PASSPHRASE, 60).message
    assert pair.ask("signer", "restoresigner", text) == [signed["keyset"]]
    assert pair.ask("signer", "restoresigner", text) == []
    pair.until_synced()
    pair.w("walletpassphrase", PASSPHRASE, 60)
    assert problems_of(pair.network / "run" / "wallet.sock") == []
    assert pay(pair) in pair.node("getrawmempool")


@pytest.mark.parametrize(
    ("option", "words"),
    [("-signerallow=nonsense", "is no address of the regtest chain"), ("-signerconfirm=perhaps", "signerconfirm")],
)
def test_a_policy_that_is_none_stops_it(pair: Pair, option: str, words: str) -> None:
    pair.options["signer"] += [option]
    assert pair.spawn("signer").wait(DEADLINE) == ExitStatus.CONFIG
    assert words in pair.log("signer")


def test_a_wallet_of_the_signer_s_without_it(pair: Pair) -> None:
    rich(pair)
    pair.stop("wallet")
    pair.options["wallet"].remove("-signerprocess=1")
    pair.start("wallet")
    assert pair.w("getbalance") > 0
    error = refusal(pair.w, "walletpassphrase", PASSPHRASE, 60)
    assert error.message == "This wallet's private keys are in the signer: start with -signerprocess=1 to use them."


def test_under_the_supervisor(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "-signerprocess=1", "-keypool=5", "-signermaxtx=10", "-fallbackfee=0.0002")
    daemon.start()
    try:
        daemon.run("bitcoin-mp", "createwallet", "w", "false", "false", PASSPHRASE)
        address = daemon.wallet("w", "getnewaddress")
        daemon.node("generatetoaddress", 101, address)
        wait_until("it is there", lambda: daemon.wallet("w", "getbalance"))
        daemon.run("bitcoin-mp", "walletpassphrase", PASSPHRASE, "600")
        daemon.run("bitcoin-mp", "sendtoaddress", STRANGER, "1")
        assert "-signermaxtx=10" in daemon.run("bitcoin-mp", "sendtoaddress", STRANGER, "11", check=False).stderr
        assert json.loads(daemon.run("bitcoin-mp", "getsignerinfo").stdout)["keysets"][0]["unlocked"] is True
        before = daemon.unit("signer")["pid"]
        os.kill(before, signal.SIGKILL)
        wait_until("it is back", lambda: daemon.unit("signer")["pid"] not in (None, before))
        wait_until("it answers", lambda: daemon.run("bitcoin-mp", "getsignerinfo", check=False).returncode == 0)
        assert daemon.run("bitcoin-mp", "sendtoaddress", STRANGER, "1", check=False).returncode == 13
        daemon.run("bitcoin-mp", "walletpassphrase", PASSPHRASE, "600")
        daemon.run("bitcoin-mp", "sendtoaddress", STRANGER, "1")
        assert not (tmp_path / "regtest" / "run" / "signer" / "wallet.sock").exists()
        packets = {name: _packet_sockets(daemon.pid(name)) for name in ("node", "wallet", "signer")}
        # The wallet calls both, keeps the node's end for it, and has one for backups; what the node has is its alone.
        assert {name: len(found) for name, found in packets.items()} == {"node": 2, "wallet": 4, "signer": 2}
        assert packets["signer"].isdisjoint(packets["node"])
        assert len(packets["signer"] & packets["wallet"]) == 1
        before = daemon.unit("wallet")["pid"]
        os.kill(before, signal.SIGKILL)
        wait_until("it is back", lambda: daemon.unit("wallet")["pid"] not in (None, before))
        daemon.run("bitcoin-mp", "walletpassphrase", PASSPHRASE, "600")
        daemon.run("bitcoind-mp", "reload", "--exec")
        daemon.run("bitcoin-mp", "walletpassphrase", PASSPHRASE, "600")
        daemon.run("bitcoin-mp", "sendtoaddress", STRANGER, "1")
        assert [unit["name"] for unit in daemon.supervisor("status")["units"]] == ["node", "signer", "wallet"]
    finally:
        daemon.run("bitcoin-mp", "stop", check=False)


def _packet_sockets(pid: int) -> set[str]:
    """The sockets of a process that could be ends of channels."""
    inodes = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    packets = [line.split() for line in Path("/proc/net/unix").read_text().splitlines() if line.split()[4] == "0005"]
    return inodes & {f"socket:[{fields[6]}]" for fields in packets if len(fields) == 7}


def test_taken_over_by_the_next_supervisor(tmp_path: Path) -> None:
    """It is told as the owner's commands' caller by its lock, now that it is nobody's parent; the workers are known by
    its list."""
    daemon = Daemon(tmp_path, "-signerprocess=1", "-keypool=5", "-adopt=1")
    daemon.start()
    try:
        before = {name: daemon.unit(name)["pid"] for name in ("signer", "wallet")}
        os.kill(daemon.supervisor("status")["supervisor"]["pid"], signal.SIGKILL)
        wait_until("the supervisor is gone", lambda: daemon.run("bitcoin-mp", "status", check=False).returncode)
        daemon.start()
        assert {name: daemon.unit(name)["pid"] for name in before} == before
        assert json.loads(daemon.run("bitcoin-mp", "getsignerinfo").stdout)["keysets"] == []
        daemon.run("bitcoin-mp", "createwallet", "w", "false", "false", PASSPHRASE)
        daemon.run("bitcoin-mp", "health")
        os.kill(before["signer"], signal.SIGKILL)
        wait_until("it is back", lambda: daemon.unit("signer")["pid"] not in (None, before["signer"]))
        daemon.run("bitcoin-mp", "walletpassphrase", PASSPHRASE, "60")  # over the channel that both handed over
        signer = daemon.pid("signer")
        os.kill(daemon.supervisor("status")["supervisor"]["pid"], signal.SIGKILL)
        os.kill(signer, signal.SIGKILL)
        wait_until("the supervisor is gone", lambda: daemon.run("bitcoin-mp", "status", check=False).returncode)
        daemon.start()
        assert daemon.unit("wallet")["pid"] != before["wallet"], "its end led nowhere any more"
        daemon.run("bitcoin-mp", "loadwallet", "w")
        daemon.run("bitcoin-mp", "walletpassphrase", PASSPHRASE, "60")
    finally:
        daemon.run("bitcoin-mp", "stop", check=False)
