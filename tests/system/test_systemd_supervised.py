"""``bitcoind-mp.service`` under a real systemd, as an administrator meets it."""

import contextlib
import re
import threading
from collections.abc import Callable

import pytest
from harness import wait_until
from systemd_container import DATA, PATIENCE, Container
from systemd_service import SERVICE, SOCKET, enrich, in_group, mine, pay, unit, until_replaced, until_told

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.interfaces.journal import Event

MIB = 1 << 20
PASSPHRASE = "correct horse battery staple"
#: Seconds without a sign of life: short enough to wait for, and long for a machine that has other work.
WATCHDOG = 6


@pytest.fixture
def running(machine: Container) -> Container:
    """The service, up."""
    if machine.properties(SERVICE)["ActiveState"] != "active":
        machine.configure(f"watchdog=wallet:{WATCHDOG}")
        machine.edit(SERVICE, "watchdog", f"WatchdogSec={WATCHDOG}")
        machine.systemctl("start", SERVICE)
    return machine


@pytest.fixture
def rich(running: Container) -> Container:
    """With a wallet that has coins to spend."""
    return enrich(running)


def test_the_first_call_starts_it(machine: Container) -> None:
    machine.systemctl("start", SOCKET)
    assert machine.properties(SERVICE)["ActiveState"] == "inactive"
    status = machine.front_end("status").stdout
    assert "supervisor" in status
    machine.until_active(SERVICE)
    shown = machine.systemctl("status", "--full", SERVICE)
    assert re.search(r'Status: "node running, wallet running"', shown), shown
    assert f"TriggeredBy: ● {SOCKET}" in shown, shown
    assert "-m bitcoind_mp.node" in shown and "-m bitcoind_mp.wallet" in shown, shown
    machine.systemctl("stop", SERVICE)


def test_it_mines_and_pays_under_its_hardening(rich: Container) -> None:
    txid = pay(rich)
    mine(rich)
    assert rich.call("wallet.sock", "gettransaction", txid, wallet="rich")["confirmations"] == 1
    main = rich.main_pid(SERVICE)
    confined = rich.path(f"/proc/{main}/status").read_text()
    assert "NoNewPrivs:\t1" in confined and "Seccomp:\t2" in confined and "CapEff:\t0000000000000000" in confined


@pytest.mark.parametrize("name", ["node", "wallet"])
def test_a_killed_worker_is_back_with_all_that_it_had(rich: Container, name: str) -> None:
    txid, main = pay(rich), rich.main_pid(SERVICE)
    pid = unit(rich, name)["pid"]
    rich.signal("KILL", pid)
    until_replaced(rich, name, pid)
    assert txid in rich.patiently(lambda: rich.call("node.sock", "getrawmempool"))
    mine(rich)
    assert rich.call("wallet.sock", "gettransaction", txid, wallet="rich")["confirmations"] == 1
    assert rich.main_pid(SERVICE) == main
    told = until_told(rich, Event.UNIT_RESTARTED, f"UNIT={name}")
    assert f"{name}: killed by SIGKILL" in told["MESSAGE"]


def test_a_killed_supervisor_is_started_again_by_systemd(rich: Container) -> None:
    balance = rich.call("wallet.sock", "getbalance", wallet="rich")
    restarts = int(rich.properties(SERVICE)["NRestarts"])
    main = rich.main_pid(SERVICE)
    rich.signal("KILL", main)
    wait_until("systemd starts it again", lambda: rich.main_pid(SERVICE) not in (0, main), PATIENCE)
    rich.until_active(SERVICE)
    assert int(rich.properties(SERVICE)["NRestarts"]) == restarts + 1
    assert rich.patiently(lambda: rich.call("wallet.sock", "getbalance", wallet="rich")) == balance


def test_a_hung_worker_is_aborted_and_replaced(rich: Container) -> None:
    pid = unit(rich, "wallet")["pid"]
    rich.signal("STOP", pid)
    until_replaced(rich, "wallet", pid)
    told = until_told(rich, Event.UNIT_HUNG, "UNIT=wallet", f"PID={pid}")
    assert told["PRIORITY"] == "3" and "watchdog" in told["MESSAGE"]


def test_a_node_that_the_kernel_kills_for_want_of_memory_makes_do_with_less(rich: Container) -> None:
    group = rich.memory_group()
    if group is None:
        pytest.skip("no control group with a limit of memory (version 1) for the container")
    pid, limit = unit(rich, "node")["pid"], group / "memory.limit_in_bytes"
    usual = limit.read_text()
    limit.write_text(str(int((group / "memory.usage_in_bytes").read_text()) + 30 * MIB))
    greedy = [threading.Thread(target=ask_for_much, args=(rich,), daemon=True) for _ in range(8)]
    try:
        for thread in greedy:
            thread.start()
        until_replaced(rich, "node", pid)
    finally:
        limit.write_text(usual)
    for thread in greedy:
        thread.join(PATIENCE)
    ended = until_told(rich, Event.UNIT_RESTARTED, "UNIT=node", "CAUSE=out-of-memory")
    assert (ended["PID"], "killed by SIGKILL: out of memory" in ended["MESSAGE"]) == (str(pid), True)
    assert "-lowmemory" in until_told(rich, Event.UNIT_STEPPED_DOWN, "UNIT=node")["MESSAGE"]
    assert unit(rich, "node")["low_memory"]
    rich.front_end("restart", "node")
    assert not unit(rich, "node")["low_memory"]


def ask_for_much(machine: Container) -> None:
    """A call that takes some 50 MB to refuse."""
    with contextlib.suppress(OSError, RpcError):
        machine.call("node.sock", "decoderawtransaction", "00" * 15 * MIB)


def test_a_hung_supervisor_is_aborted_and_started_again_by_systemd(rich: Container) -> None:
    main = rich.main_pid(SERVICE)
    rich.signal("STOP", main)
    wait_until("systemd starts it again", lambda: rich.main_pid(SERVICE) not in (0, main), PATIENCE)
    rich.until_active(SERVICE)
    pay(rich)
    assert "Watchdog timeout" in rich.journal_text(SERVICE)


def test_a_reload_reads_the_configuration_and_ends_nothing(rich: Container) -> None:
    pids = [rich.main_pid(SERVICE), unit(rich, "node")["pid"], unit(rich, "wallet")["pid"]]
    rich.systemctl("reload", SERVICE)
    until_told(rich, Event.CONFIGURATION_REREAD, f"_PID={pids[0]}")
    until_told(rich, Event.UNIT_RELOADED, "UNIT=node", f"PID={pids[1]}")
    assert pids == [rich.main_pid(SERVICE), unit(rich, "node")["pid"], unit(rich, "wallet")["pid"]]


def test_the_journal_says_whom_each_entry_is_about(rich: Container) -> None:
    node = unit(rich, "node")["pid"]
    entries = rich.journal(f"--unit={SERVICE}", "UNIT=node", f"PID={node}")
    ready = next(entry for entry in entries if entry.get("MESSAGE_ID") == Event.UNIT_READY)
    assert ready["MESSAGE"].startswith(f"node: ready (pid {node}, ")
    assert (ready["PRIORITY"], ready["SYSLOG_IDENTIFIER"]) == ("6", "bitcoind-mp")
    assert ready["_PID"] == str(rich.main_pid(SERVICE))
    said = next(entry for entry in entries if "Loading block index" in entry["MESSAGE"])
    assert said["MESSAGE"] == "node: Loading block index…" and "MESSAGE_ID" not in said
    connected = rich.journal(f"--unit={SERVICE}", f"MESSAGE_ID={Event.NODE_FOUND}")
    assert connected and all(entry["UNIT"] == "wallet" for entry in connected)


def test_the_journal_reads_well(rich: Container) -> None:
    lines = rich.journal_text(SERVICE).splitlines()
    own = [line for line in lines if " bitcoind-mp[" in line]
    assert own
    for line in own:
        text = line.partition("]: ")[2]
        assert not re.match(r"<\d|\d{4}-\d\d-\d\dT|(node|wallet): \d{4}-|supervisor: ", text), line
    assert any(re.search(r"\]: (node|wallet): ", line) for line in own)


def test_a_restart_unlocks_a_wallet_by_a_credential_for_a_while(rich: Container) -> None:
    unlocked_until: Callable[[], int] = lambda: rich.patiently(  # noqa: E731
        lambda: rich.call("wallet.sock", "getwalletinfo", wallet="savings")["unlocked_until"]
    )
    rich.call("wallet.sock", "createwallet", "savings", False, False, PASSPHRASE, False, True, True)
    before, tip = rich.main_pid(SERVICE), rich.call("node.sock", "getbestblockhash")
    rich.configure(f"watchdog=wallet:{WATCHDOG}", "walletunlock=savings:600", "walletunlock=rich:60")
    rich.write("/etc/credstore/savings", PASSPHRASE + "\n", 0o600)
    credential = "LoadCredential=wallet.savings.passphrase:/etc/credstore/savings"
    rich.edit(SERVICE, "credential", credential)
    rich.systemctl("restart", SERVICE)
    assert rich.main_pid(SERVICE) != before
    assert rich.patiently(lambda: rich.call("node.sock", "getbestblockhash")) == tip
    assert unlocked_until() > 0
    assert "[rich] not unlocked" in until_told(rich, Event.WALLET_NOT_UNLOCKED, "UNIT=wallet")["MESSAGE"]
    wallet = unit(rich, "wallet")["pid"]
    told = until_told(rich, Event.WALLET_UNLOCKED, "UNIT=wallet", f"PID={wallet}")
    assert "[savings] unlocked at start by the credential wallet.savings.passphrase, as uid " in told["MESSAGE"]
    processes = in_group(rich)
    assert {rich.main_pid(SERVICE), unit(rich, "node")["pid"], unit(rich, "node")["preloaded"], wallet} < set(processes)
    for pid in processes:
        for name in ("cmdline", "environ"):
            assert PASSPHRASE.encode() not in rich.path(f"/proc/{pid}/{name}").read_bytes()
    told = b"CREDENTIALS_DIRECTORY=/run/credentials/"
    assert told in rich.path(f"/proc/{wallet}/environ").read_bytes()
    for pid in (unit(rich, "node")["pid"], unit(rich, "node")["preloaded"]):
        assert told not in rich.path(f"/proc/{pid}/environ").read_bytes()
    assert PASSPHRASE not in rich.journal_text(SERVICE)
    boot = rich.path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    assert f'"boot": "{boot}"' in rich.path(DATA / "regtest" / "wallets" / "wallet-unlocked.json").read_text()
    rich.signal("KILL", wallet)
    until_replaced(rich, "wallet", wallet)
    assert unlocked_until() > 0, "what is left of its time"
    rich.call("wallet.sock", "walletlock", wallet="savings")
    until_told(rich, Event.WALLET_LOCKED, "UNIT=wallet")


def test_a_backup_that_would_end_with_the_service_is_refused(rich: Container) -> None:
    for place in ("/tmp", "/var/tmp"):
        refused = rich.front_end("-rpcwallet=rich", "backupwallet", f"{place}/rich.sqlite", check=False)
        assert refused.returncode == 4
        assert f"{place} is this service's own here (PrivateTmp=)" in refused.stderr
    rich.front_end("-rpcwallet=rich", "backupwallet", f"{DATA}/rich.sqlite")
    assert rich.path(f"{DATA}/rich.sqlite").stat().st_size > 0


def test_a_stop_leaves_nothing(rich: Container) -> None:
    rich.systemctl("stop", SOCKET, SERVICE)
    properties = rich.properties(SERVICE)
    assert (properties["ActiveState"], properties["Result"]) == ("inactive", "success")
    assert rich.command_lines(f"datadir={DATA}") == []
    entries = rich.journal(f"--unit={SERVICE}", f"MESSAGE_ID={Event.UNIT_STOPPED}")
    assert [entry["UNIT"] for entry in entries[-2:]] == ["wallet", "node"]
