"""The workers as services of their own under a real systemd, with no supervisor of ours between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import wait_until
from systemd_container import DATA, PATIENCE, Container

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.interfaces.journal import Event

NODE, SIGNER = "bitcoin-mp-node", "bitcoin-mp-signer"
ALICE, BOB = "bitcoin-mp-wallet@alice", "bitcoin-mp-wallet@bob"
PASSPHRASE = "correct horse battery staple"
#: Seconds without a sign of life: short enough to wait for, and long for a machine that has other work.
WATCHDOG = 6


@pytest.fixture
def running(machine: Container) -> Container:
    """All three sockets listen; a first call starts each service."""
    if machine.properties(f"{ALICE}.socket")["ActiveState"] != "active":
        machine.systemctl("stop", *(f"{unit}.service" for unit in (ALICE, NODE)))
        for unit in ("bitcoin-mp-node.service", "bitcoin-mp-wallet@.service"):
            machine.edit(unit, "watchdog", f"WatchdogSec={WATCHDOG}")
        machine.systemctl("start", *(f"{unit}.socket" for unit in (NODE, ALICE, BOB)))
    return machine


@pytest.fixture
def rich(running: Container) -> Container:
    """With a wallet each, and coins for alice to spend."""
    for name in ("alice", "bob"):
        if name not in running.patiently(lambda name=name: wallet(running, name, "listwallets")):
            wallet(running, name, "createwallet", name)
            if name == "alice":
                mine(running, 101)
    return running


def wallet(machine: Container, name: str, method: str, *params: Any) -> Any:
    return machine.call(f"wallet@{name}.sock", method, *params)


def mine(machine: Container, count: int = 1) -> None:
    address = machine.patiently(lambda: wallet(machine, "alice", "getnewaddress"))
    machine.patiently(lambda: machine.call("node.sock", "getblockcount"))
    machine.call("node.sock", "generatetoaddress", count, address)


def pay(machine: Container) -> str:
    """Alice pays bob: the payment's txid."""
    address = machine.patiently(lambda: wallet(machine, "bob", "getnewaddress"))
    txid: str = wallet(machine, "alice", "sendtoaddress", address, 1)
    return txid


def until_paid(machine: Container, txid: str) -> None:
    """Until bob's wallet knows the payment as confirmed."""

    def is_confirmed() -> bool:
        try:
            return int(wallet(machine, "bob", "gettransaction", txid)["confirmations"]) > 0
        except RpcError:
            return False

    wait_until("bob is paid", is_confirmed, PATIENCE)


def until_replaced(machine: Container, unit: str, pid: int) -> None:
    wait_until(f"systemd starts {unit} again", lambda: machine.main_pid(unit) not in (0, pid), PATIENCE)
    machine.until_active(unit)


def test_a_first_call_starts_each(running: Container) -> None:
    assert running.properties(NODE)["ActiveState"] == "inactive"
    assert running.patiently(lambda: running.call("node.sock", "getblockcount")) == 0
    running.until_active(NODE)
    shown = running.systemctl("status", NODE)
    assert 'Status: "' in shown and f"TriggeredBy: ● {NODE}.socket" in shown
    assert running.front_end("-rpcwallet=alice", "createwallet", "alice").stdout
    running.until_active(ALICE)
    assert running.properties(BOB)["ActiveState"] == "inactive"
    mine(running, 101)


def test_they_mine_and_pay_under_their_hardening(rich: Container) -> None:
    txid = pay(rich)
    mine(rich)
    until_paid(rich, txid)
    balance = rich.front_end("-rpcwallet=bob", "getbalance").stdout
    assert float(balance) >= 1
    assert rich.front_end("listwallets").stdout.split() == ["[", '"alice",', '"bob"', "]"]


def test_a_wallet_s_service_has_no_network(rich: Container) -> None:
    networks = [rich.path(f"/proc/{pid}/ns/net").readlink() for pid in (1, rich.main_pid(NODE), rich.main_pid(ALICE))]
    assert networks[0] == networks[1] != networks[2]


@pytest.mark.parametrize("unit", [NODE, ALICE])
def test_a_killed_service_is_back_with_all_that_it_had(rich: Container, unit: str) -> None:
    txid, pid = pay(rich), rich.main_pid(unit)
    rich.signal("KILL", pid)
    mine(rich)  # the call waits in the socket's queue meanwhile
    until_replaced(rich, unit, pid)
    until_paid(rich, txid)


def test_a_hung_service_is_aborted_and_started_again(rich: Container) -> None:
    pid = rich.main_pid(ALICE)
    rich.signal("STOP", pid)
    until_replaced(rich, ALICE, pid)
    assert "Watchdog timeout" in rich.journal_text(ALICE)


def test_a_wallet_that_one_service_has_is_refused_to_another(rich: Container) -> None:
    with pytest.raises(RpcError, match="serves the wallet 'bob' alone"):
        wallet(rich, "bob", "loadwallet", "alice")
    pid = rich.main_pid(ALICE)
    command = ("/opt/bitcoind-mp/bin/bitcoin-mp-wallet", "-conf=/etc/bitcoind-mp/bitcoin.conf", f"-datadir={DATA}")
    done = rich.run("runuser", "-u", "bitcoind-mp", "--", *command, "-onlywallet=alice", check=False)
    assert done.returncode == 75
    assert f"bitcoin-mp-wallet is already running on {DATA}/regtest (pid {pid})" in done.stderr


def test_a_reload_ends_nothing_and_says_whether_the_next_start_would_do(rich: Container) -> None:
    units = (NODE, ALICE)
    pids = [rich.main_pid(unit) for unit in units]
    try:
        for more, status in (["maxmempool=7"], 0), (["walletdir=/no/such/place", "maxmempool=1"], 1):
            rich.configure(*more)
            for unit in units:
                assert rich.run("systemctl", "reload", unit, check=False).returncode == status
                rich.until_active(unit)
        assert "Error: -maxmempool must be at least 5 MB" in rich.journal_text(NODE)
        assert 'Error: Specified -walletdir "/no/such/place" does not exist' in rich.journal_text(ALICE)
    finally:
        rich.configure()
    assert [rich.main_pid(unit) for unit in units] == pids


def test_the_journal_says_whose_each_entry_is(rich: Container) -> None:
    pid = rich.main_pid(ALICE)
    found = rich.journal(f"--unit={ALICE}", "UNIT=wallet@alice", f"PID={pid}", f"MESSAGE_ID={Event.NODE_FOUND}")[-1]
    assert found["MESSAGE"].startswith("connected to the node (pid ")
    assert (found["SYSLOG_IDENTIFIER"], found["PRIORITY"], found["_PID"]) == ("bitcoin-mp-wallet", "6", str(pid))
    assert found["_SYSTEMD_UNIT"] == f"{ALICE}.service"
    assert rich.journal(f"--unit={NODE}", "UNIT=node")


def test_a_sealed_credential_unlocks_a_wallet_for_a_while(rich: Container) -> None:
    unlocked_until: Callable[[], int] = lambda: rich.patiently(  # noqa: E731
        lambda: wallet(rich, "bob", "getwalletinfo")["unlocked_until"]
    )
    rich.patiently(lambda: wallet(rich, "bob", "listwallets"))
    wallet(rich, "bob", "encryptwallet", PASSPHRASE)
    rich.write("/run/passphrase", PASSPHRASE, 0o600)
    sealed = "/etc/credstore.encrypted/wallet.bob.passphrase"
    rich.run("mkdir", "-p", "/etc/credstore.encrypted")
    rich.run("systemd-creds", "encrypt", "--with-key=host", "--name=wallet.bob.passphrase", "/run/passphrase", sealed)
    rich.configure("walletunlock=bob:600")
    rich.edit(f"{BOB}.service", "credential", f"LoadCredentialEncrypted=wallet.bob.passphrase:{sealed}")
    rich.systemctl("restart", BOB)
    assert unlocked_until() > 0
    pid = rich.main_pid(BOB)
    told = rich.journal(f"--unit={BOB}", f"MESSAGE_ID={Event.WALLET_UNLOCKED}")[-1]
    assert "[bob] unlocked at start by the credential wallet.bob.passphrase" in told["MESSAGE"]
    assert told["_PID"] == str(pid)
    for name in ("cmdline", "environ"):
        assert PASSPHRASE.encode() not in rich.path(f"/proc/{pid}/{name}").read_bytes()
    boot = rich.path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    assert f'"boot": "{boot}"' in rich.path(DATA / "regtest" / "wallets" / "wallet@bob-unlocked.json").read_text()
    wallet(rich, "bob", "walletlock")
    rich.signal("KILL", pid)
    until_replaced(rich, BOB, pid)
    assert unlocked_until() == 0, "somebody locked it"


def test_a_stop_leaves_nothing(rich: Container) -> None:
    rich.systemctl("stop", *(f"{unit}.{kind}" for unit in (ALICE, BOB, NODE) for kind in ("socket", "service")))
    for unit in (ALICE, BOB, NODE):
        properties = rich.properties(unit)
        assert (properties["ActiveState"], properties["Result"]) == ("inactive", "success")
    assert rich.command_lines(f"datadir={DATA}") == []


def test_a_service_without_its_socket_unit_binds_its_own_and_stays_stopped(machine: Container) -> None:
    machine.systemctl("stop", *(f"{unit}.{kind}" for unit in (ALICE, BOB, NODE) for kind in ("socket", "service")))
    machine.systemctl("start", f"{NODE}.service", f"{ALICE}.service")
    pid = machine.main_pid(NODE)
    machine.signal("KILL", pid)
    until_replaced(machine, NODE, pid)
    assert machine.patiently(lambda: machine.call("node.sock", "getblockcount")) >= 0
    machine.systemctl("stop", f"{NODE}.service")
    this_process = (f"--unit={ALICE}", f"_PID={machine.main_pid(ALICE)}", f"MESSAGE_ID={Event.NODE_LOST}")
    wait_until("alice misses it", lambda: len(machine.journal(*this_process)) >= 2, PATIENCE)
    assert machine.properties(NODE)["ActiveState"] == "inactive", "alice's calls don't start it"


@pytest.mark.parametrize("unit", [NODE, ALICE, SIGNER])
def test_the_supervisor_s_service_and_each_of_these_end_each_other(machine: Container, unit: str) -> None:
    supervised = "bitcoind-mp.service"
    machine.systemctl("stop", *(f"{unit}.{kind}" for unit in (ALICE, BOB, NODE) for kind in ("socket", "service")))
    machine.systemctl("start", supervised)
    machine.systemctl("start", f"{unit}.service")
    states = [machine.properties(name)["ActiveState"] for name in (supervised, unit)]
    assert states == ["inactive", "active"]
    machine.systemctl("start", supervised)
    states = [machine.properties(name)["ActiveState"] for name in (supervised, unit)]
    machine.systemctl("stop", supervised)
    assert states == ["active", "inactive"]


def test_a_signer_as_a_service_of_its_own(machine: Container) -> None:
    """Wallets reach it as wallets, the node not at all, and the owner by the front end."""
    carol, run = "bitcoin-mp-wallet@carol", DATA / "regtest" / "run"
    machine.systemctl("stop", *(f"{unit}.{kind}" for unit in (ALICE, BOB, NODE) for kind in ("socket", "service")))
    machine.configure("signerprocess=1")
    machine.edit("bitcoin-mp-node.service", "regtest", f"InaccessiblePaths=-{run}/signer -{run}/signer.sock")
    machine.edit(f"{carol}.service", "regtest", f"InaccessiblePaths=-{run}/signer.sock")
    for unit in (SIGNER, NODE, carol):
        machine.systemctl("start", f"{unit}.service")
    front = ("-rpcwallet=carol",)
    machine.front_end(*front, "createwallet", "carol", "false", "false", PASSPHRASE)
    assert machine.patiently(lambda: wallet(machine, "carol", "getwalletinfo"))["external_signer"] is True
    machine.front_end(*front, "walletpassphrase", PASSPHRASE, "600")
    address = wallet(machine, "carol", "getnewaddress")
    machine.call("node.sock", "generatetoaddress", 101, address)
    wait_until("it is there", lambda: wallet(machine, "carol", "getbalance"), PATIENCE)
    assert machine.front_end(*front, "sendtoaddress", address, "1").stdout
    pid = machine.main_pid(SIGNER)
    machine.signal("KILL", pid)
    until_replaced(machine, SIGNER, pid)
    machine.front_end(*front, "walletpassphrase", PASSPHRASE, "600")
    assert machine.journal(f"--unit={SIGNER}", "UNIT=signer", f"PID={machine.main_pid(SIGNER)}", "_TRANSPORT=journal")
    assert machine.front_end(*front, "sendtoaddress", address, "1").stdout
    assert '"unlocked": true' in machine.front_end("getsignerinfo").stdout
    shown = {unit: _shown(machine, unit, run) for unit in (NODE, carol)}
    assert shown == {NODE: "no signer.sock, no wallet.sock", carol: "no signer.sock, wallet.sock"}
    listed = machine.run("nsenter", "--mount", f"--target={machine.main_pid(carol)}", "--", "ls", "/run").stdout.split()
    assert set(listed) <= {"systemd", "credentials"}, "where others have their sockets it sees none"
    machine.systemctl("stop", *(f"{unit}.service" for unit in (carol, NODE, SIGNER)))


def _shown(machine: Container, unit: str, run: Path) -> str:
    """Which of the signer's sockets a service can connect to, so far as its file system goes."""
    probe = "; ".join(
        f"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"{path}\")' 2>/dev/null "
        f"&& echo {path.name} || echo no {path.name}"
        for path in (run / "signer.sock", run / "signer" / "wallet.sock")
    )
    entered = ("nsenter", "--mount", f"--target={machine.main_pid(unit)}", "--", "runuser", "-u", "bitcoind-mp", "--")
    return ", ".join(machine.run(*entered, "sh", "-c", probe).stdout.split("\n")[:2])
