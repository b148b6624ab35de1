"""What docs/operations.md tells an administrator to do with ``bitcoind-mp.service``, done under a real systemd."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import wait_until
from systemd_container import DATA, PATIENCE, PREFIX, ROOT, Container
from systemd_service import SERVICE, SOCKET, enrich, in_group, mine, pay, unit, until_told

from bitcoind_mp.interfaces.errors import Disconnected, RpcError
from bitcoind_mp.interfaces.journal import Event

MIB = 1 << 20
DOCUMENT = (ROOT / "docs" / "operations.md").read_text()


@pytest.fixture
def rich(machine: Container) -> Iterator[Container]:
    """The service, up, with a wallet that has coins to spend; as it was again afterwards."""
    if machine.properties(SERVICE)["ActiveState"] != "active":
        machine.systemctl("start", SERVICE)
    yield enrich(machine)
    machine.systemctl("stop", SOCKET)
    machine.run("rm", "-rf", f"/etc/systemd/system/{SERVICE}.d")
    machine.configure()
    machine.systemctl("daemon-reload")


def documented(machine: Container, name: str) -> None:
    """Copy that drop-in of the document, as ``systemctl edit`` would keep it."""
    text = DOCUMENT.partition(f"\n# {name}\n")[2].partition("\n```")[0]
    assert text.startswith("["), f"docs/operations.md has no drop-in {name}"
    machine.write(f"/etc/systemd/system/{SERVICE}.d/{name}", text + "\n")
    machine.systemctl("daemon-reload")


def pids(machine: Container) -> dict[str, int]:
    return {name: unit(machine, name)["pid"] for name in ("node", "wallet")}


def install(machine: Container, version: str) -> None:
    """Another version of the program, on disk."""
    (file,) = machine.path(PREFIX).glob("lib/python*/site-packages/bitcoind_mp/__init__.py")
    file.write_text(file.read_text().replace('__version__ = "', f'__version__ = "{version}-'))


class Caller:
    """Calls a server again and again, and keeps what was refused."""

    def __init__(self, machine: Container, *call: str) -> None:
        self._machine = machine
        self._request = call
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._call, daemon=True)
        self.answers = 0
        self.refused: list[Exception] = []
        self._thread.start()

    def _call(self) -> None:
        while not self._is_done.wait(0.002):
            try:
                self._machine.call(*self._request)
                self.answers += 1
            except Disconnected:  # the process ended with the call: the next one must be answered
                continue
            except RpcError as error:
                if error.code not in (-28, -9):  # loading, shutting down: the same
                    self.refused.append(error)
            except OSError as error:
                self.refused.append(error)

    def finish(self) -> None:
        self._is_done.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def test_an_upgrade_in_place_keeps_the_service_active_and_its_callers_waiting(rich: Container) -> None:
    main, before, starts = rich.main_pid(SERVICE), pids(rich), rich.properties(SERVICE)["NRestarts"]
    install(rich, "7.7")
    caller = Caller(rich, "node.sock", "getblockcount")
    command = (str(PREFIX / "bin" / "bitcoind-mp"), "-conf=/etc/bitcoind-mp/bitcoin.conf", f"-datadir={DATA}")
    done = rich.run("runuser", "-u", "bitcoind-mp", "--", *command, "reload", "--exec")
    caller.finish()
    assert done.stdout.splitlines()[1].startswith("bitcoind-mp 7.7-")
    assert (caller.refused, caller.answers > 0) == ([], True)
    properties = rich.properties(SERVICE)
    assert (properties["ActiveState"], properties["NRestarts"]) == ("active", starts)
    assert rich.main_pid(SERVICE) == main
    assert not set(pids(rich).values()) & set(before.values())
    assert rich.call("supervisor.sock", "status")["supervisor"]["version"].startswith("7.7-")
    assert rich.run("pgrep", "-x", "bitcoind-mp").stdout.split() == [str(main)], "it has its name again"
    assert "Restart" not in "".join(
        line for line in rich.journal_text(SERVICE).splitlines() if f" systemd[1]: {SERVICE}" in line
    )


def test_a_reload_can_be_an_upgrade(rich: Container) -> None:
    documented(rich, "upgrade.conf")
    main, before = rich.main_pid(SERVICE), pids(rich)
    install(rich, "8.8")
    txid = pay(rich)
    rich.systemctl("reload", SERVICE)
    rich.until_active(SERVICE)
    assert rich.main_pid(SERVICE) == main
    assert not set(pids(rich).values()) & set(before.values())
    assert rich.call("supervisor.sock", "status")["supervisor"]["version"].startswith("8.8-")
    assert txid in rich.patiently(lambda: rich.call("node.sock", "getrawmempool"))
    (file,) = rich.path(PREFIX).glob("lib/python*/site-packages/bitcoind_mp/supervisor/__main__.py")
    good = file.read_text()
    file.write_text("half installed")
    try:
        assert rich.run("systemctl", "reload", SERVICE, check=False).returncode != 0
        properties = rich.properties(SERVICE)
        assert (properties["ActiveState"], properties["MainPID"]) == ("active", str(main)), "it runs on"
    finally:
        file.write_text(good)


def test_workers_outlive_a_killed_supervisor_where_both_it_and_systemd_are_told_so(rich: Container) -> None:
    documented(rich, "adopt.conf")
    rich.configure("adopt=1")
    rich.systemctl("restart", SERVICE)
    before, starts = pids(rich), int(rich.properties(SERVICE)["NRestarts"])
    for count in (1, 2):  # the second has adopted them itself
        main, txid = rich.main_pid(SERVICE), pay(rich)
        rich.signal("KILL", main)
        mine(rich)  # with nobody above them
        wait_until("systemd starts it again", lambda: rich.main_pid(SERVICE) not in (0, main), PATIENCE)  # noqa: B023
        rich.until_active(SERVICE)
        assert int(rich.properties(SERVICE)["NRestarts"]) == starts + count
        assert pids(rich) == before
        assert rich.call("wallet.sock", "gettransaction", txid, wallet="rich")["confirmations"] == 1
        for name, pid in before.items():
            told = until_told(rich, Event.UNIT_TAKEN_OVER, f"UNIT={name}", f"_PID={rich.main_pid(SERVICE)}")
            assert (told["PID"], told["PRIORITY"]) == (str(pid), "4")
    shown = rich.systemctl("status", "--full", SERVICE)
    assert 'Status: "node running, wallet running"' in shown
    assert all(f"─{pid} " in shown for pid in before.values())
    rich.signal("KILL", before["node"])
    wait_until("another node", lambda: pids(rich)["node"] not in (None, before["node"]), PATIENCE)
    assert "exit status is lost" in until_told(rich, Event.UNIT_RESTARTED, "UNIT=node")["MESSAGE"]
    rich.systemctl("stop", SERVICE)
    assert rich.properties(SERVICE)["Result"] == "success"
    assert in_group(rich) == []


def test_workers_whose_supervisor_does_not_come_back_are_ended_by_systemctl_kill(rich: Container) -> None:
    documented(rich, "adopt.conf")
    rich.configure("adopt=1")
    rich.systemctl("restart", SERVICE)
    before = pids(rich)
    rich.configure("adopt=1", "nonsense=1")
    rich.signal("KILL", rich.main_pid(SERVICE))
    wait_until("it has failed", lambda: rich.properties(SERVICE)["ActiveState"] == "failed", PATIENCE)
    assert set(before.values()) <= set(in_group(rich))
    rich.systemctl("kill", SERVICE)
    wait_until("they have stopped", lambda: in_group(rich) == [], PATIENCE)


def test_a_restart_after_a_daemon_reload_keeps_the_callers_of_an_active_socket(rich: Container) -> None:
    rich.systemctl("stop", SERVICE)
    rich.systemctl("start", SOCKET, SERVICE)
    main = rich.main_pid(SERVICE)
    rich.systemctl("daemon-reload")
    assert rich.main_pid(SERVICE) == main, "which ends nothing"
    caller = Caller(rich, "supervisor.sock", "uptime")
    rich.systemctl("restart", SERVICE)
    caller.finish()
    assert (caller.refused, caller.answers > 0) == ([], True)
    assert rich.call("supervisor.sock", "status")["supervisor"]["pid"] == rich.main_pid(SERVICE) != main
    assert rich.properties(SOCKET)["ActiveState"] == "active"
    rich.systemctl("stop", SOCKET, SERVICE)


def test_all_that_is_killed_comes_back_and_only_what_is_given_up_sets_off_the_alarm(rich: Container) -> None:
    alarm = "/run/alarm"
    service = ("[Service]", "Type=oneshot", f"ExecStart=/bin/sh -c 'echo $MONITOR_UNIT > {alarm}'", "")
    rich.write("/etc/systemd/system/alarm.service", "\n".join(service))
    documented(rich, "alarm.conf")
    txid, main = pay(rich), rich.main_pid(SERVICE)
    rich.systemctl("kill", "--signal=KILL", SERVICE)
    wait_until("systemd starts it again", lambda: rich.main_pid(SERVICE) not in (0, main), PATIENCE)
    rich.until_active(SERVICE)
    assert txid in rich.patiently(lambda: rich.call("node.sock", "getrawmempool"))
    assert not rich.path(alarm).exists()
    rich.configure("nonsense=1")
    assert rich.run("systemctl", "restart", SERVICE, check=False).returncode == 1
    assert rich.properties(SERVICE)["ExecMainStatus"] == "78"
    wait_until("the alarm", rich.path(alarm).exists, PATIENCE)
    assert "Invalid configuration value" in rich.systemctl("status", "--full", SERVICE, check=False)
    rich.systemctl("reset-failed", SERVICE)


def test_a_node_without_room_is_held_and_systemctl_status_says_so(rich: Container) -> None:
    rich.systemctl("stop", SERVICE)
    owner = f"uid={rich.run('id', '-u', 'bitcoind-mp').stdout.strip()},mode=700"
    rich.run("mount", "-t", "tmpfs", "-o", f"size={160 * MIB},{owner}", "tmpfs", str(DATA))
    try:
        rich.systemctl("start", SERVICE)
        filling = Path(DATA, "filling")
        rich.run("fallocate", "-l", str(120 * MIB), str(filling))
        node = unit(rich, "node")["pid"]
        rich.signal("KILL", node)
        told = until_told(rich, Event.UNIT_HELD, "UNIT=node")
        assert "Disk space is too low" in told["MESSAGE"]
        assert (told["CAUSE"], told["PRIORITY"]) == ("disk-full", "4")
        killed = until_told(rich, Event.UNIT_RESTARTED, "UNIT=node", "CAUSE=killed")
        assert killed["PID"] == str(node)
        shown = rich.systemctl("status", "--full", SERVICE)
        assert 'Status: "node held, wallet running"' in shown and "Active: active (running)" in shown
        rich.run("rm", str(filling))
        wait_until("it runs again", lambda: unit(rich, "node")["state"] == "running", PATIENCE)
        rich.systemctl("stop", SERVICE)
    finally:
        rich.run("systemctl", "stop", SERVICE, check=False)
        rich.run("umount", str(DATA))


def test_the_journal_tells_each_step_of_a_unit_s_life(rich: Container) -> None:
    before = pids(rich)["node"]
    rich.front_end("restart", "node")
    after = pids(rich)["node"]
    steps = [
        (Event.UNIT_STOPPING, before, "6"),
        (Event.UNIT_RESTARTED, before, "6"),
        (Event.UNIT_STARTED, after, "6"),
        (Event.UNIT_READY, after, "6"),
    ]
    told = [until_told(rich, event, "UNIT=node", f"PID={pid}") for event, pid, _ in steps]
    assert [entry["PRIORITY"] for entry in told] == [priority for *_, priority in steps]
    assert sorted(told, key=lambda entry: int(entry["__REALTIME_TIMESTAMP"])) == told
    assert {entry["SYSLOG_IDENTIFIER"] for entry in told} == {"bitcoind-mp"}
    rich.configure("nonsense=1")
    assert rich.run("systemctl", "reload", SERVICE, check=False).returncode == 1
    assert "Error: Invalid configuration value in /etc/bitcoind-mp/bitcoin.conf" in rich.journal_text(SERVICE)
    rich.systemctl("kill", "--signal=HUP", "--kill-who=main", SERVICE)
    refused = until_told(rich, Event.CONFIGURATION_REFUSED)
    assert (refused["PRIORITY"], refused["UNIT"]) == ("3", "supervisor")
