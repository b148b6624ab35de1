"""The supervisor's own life: lock, background, orphans after its kill, the service manager above it, being idle."""

import grp
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import seconds_in

from bitcoind_mp.interfaces.errors import RpcError


def test_a_second_one_is_refused_by_name_and_pid(supervisor: Any) -> None:
    supervisor.start()
    second = supervisor.once()
    assert second.returncode == 75
    assert "bitcoind-mp is already running" in second.stderr
    assert f"(pid {supervisor.process.pid})" in second.stderr
    assert str(supervisor.network) in second.stderr
    assert len(second.stderr.splitlines()) == 1
    in_background = supervisor.once("-daemon")
    assert (in_background.returncode, "already running" in in_background.stderr) == (75, True)
    assert {unit["state"] for unit in supervisor.status()["units"]} == {"running"}, "the first is none the worse"


def test_bad_configuration_stops_it_before_anything_is_made(supervisor: Any) -> None:
    done = supervisor.once("-watchdog=node:soon")
    assert done.returncode == 78
    assert "-watchdog" in done.stderr
    assert not supervisor.network.exists()


@pytest.mark.parametrize("place", ["/nonexist", "/dev/null"])
def test_a_pid_file_that_cannot_be_written_is_named_by_its_option(supervisor: Any, place: str) -> None:
    done = supervisor.once(f"-pid={place}/x.pid")
    assert done.returncode == 78
    assert done.stderr.startswith(f"Error: -pid={place}/x.pid: the file could not be written: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_in_order(supervisor: Any, number: signal.Signals) -> None:
    supervisor.start()
    supervisor.process.send_signal(number)
    assert supervisor.process.wait(30) == 0
    assert supervisor.processes() == []


def test_stop_stops_everything(supervisor: Any) -> None:
    supervisor.start()
    assert supervisor.ask("stop") == "bitcoind-mp stopping"
    assert supervisor.process.wait(30) == 0
    assert supervisor.processes() == []


def test_stop_while_a_unit_is_still_starting(supervisor: Any) -> None:
    supervisor.plan("node", ready=False)
    supervisor.start(ready=False)
    supervisor.wait_state("node", "starting")
    assert supervisor.stop() == 0


def test_nothing_is_started_any_more_while_it_stops(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.plan("wallet", stop_delay=1.0)
    supervisor.start()
    supervisor.process.send_signal(signal.SIGTERM)
    supervisor.wait_state("wallet", "stopping")
    with pytest.raises(RpcError, match="bitcoind-mp is stopping"):
        supervisor.ask("start", "wallet")
    assert supervisor.process.wait(30) == 0
    assert supervisor.processes() == []


def test_a_group_that_the_owner_named_gets_to_the_sockets_and_no_further(supervisor: Any) -> None:
    other = next((gid for gid in os.getgroups() if gid != os.getegid()), None)
    if os.geteuid() == 0:
        other = 65534
    if other is None:
        pytest.skip("this user is in one group only")
    supervisor.datadir.chmod(0o700)
    supervisor.start(f"-ipcgroup={grp.getgrgid(other).gr_name}")
    for directory in (supervisor.datadir, supervisor.network, supervisor.run_dir):
        assert (directory.stat().st_gid, directory.stat().st_mode & 0o777) == (other, 0o710)
    for role in ("supervisor", "node", "wallet"):
        found = Path(supervisor.socket(role)).stat()
        assert (found.st_gid, found.st_mode & 0o777) == (other, 0o660)
    assert supervisor.logs.stat().st_mode & 0o077 == 0


def test_a_machine_that_stood_still_is_not_held_against_the_workers(supervisor: Any, until: Callable[..., Any]) -> None:
    """All three are stopped for longer than the watchdog's time, as when a machine sleeps."""
    supervisor.start("-watchdog=1.5")
    pids = [supervisor.process.pid, supervisor.pid("node"), supervisor.pid("wallet")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + 3.5
    until(lambda: time.monotonic() > end)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    end = time.monotonic() + 2
    until(lambda: time.monotonic() > end)
    assert [supervisor.pid("node"), supervisor.pid("wallet")] == pids[1:]


# -- killed ------------------------------------------------------------------------------------------------------


def test_when_it_is_killed_its_workers_stop_cleanly(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    pids = {name: supervisor.pid(name) for name in ("node", "wallet")}
    supervisor.process.kill()
    supervisor.process.wait(30)
    until(lambda: supervisor.processes() == [], "the workers to end")
    assert {name: int((supervisor.plans / f"{name}.stopped").read_text()) for name in pids} == pids


def test_a_new_start_waits_for_the_workers_that_are_left(supervisor: Any) -> None:
    supervisor.plan("node", stop_delay=1.0)
    supervisor.start()
    old = supervisor.pid("node")
    supervisor.process.kill()
    supervisor.process.wait(30)
    assert old in supervisor.processes(), "it takes its time to stop"
    supervisor.plan("node")
    done = supervisor.once("-daemonwait")
    assert (done.returncode, done.stdout) == (0, "bitcoind-mp starting\n")
    assert f"Waiting for the node that an earlier supervisor left (pid {old}) to stop." in done.stderr
    assert old not in supervisor.processes()
    assert supervisor.worker("node", "pid") == supervisor.pid("node") != old
    assert "node: starting: the one before ended: left over from a supervisor that was killed" in supervisor.log(
        "supervisor"
    )
    supervisor.ask("stop")


def test_a_worker_that_will_not_go_is_killed_by_the_next_start(supervisor: Any) -> None:
    supervisor.plan("node", lifeline=False, ignore=["SIGTERM"])
    supervisor.start()
    old = supervisor.pid("node")
    supervisor.process.kill()
    supervisor.process.wait(30)
    supervisor.plan("node")
    done = supervisor.once("-daemonwait", "-stoptimeout=0.5")
    assert done.returncode == 0
    told = next(
        line for line in done.stderr.splitlines() if line.startswith(f"The node (pid {old}) did not stop within ")
    )
    assert told.endswith(": killing it.")
    why = supervisor.unit("node")["last_exit"]["why"]
    assert why.startswith("did not stop within ")
    assert why.endswith("; left over from a supervisor that was killed, so that its exit status is lost")
    assert min(seconds_in(told.partition(" did ")[2]), seconds_in(why)) >= 0.5
    assert old not in supervisor.processes()
    supervisor.ask("stop")


def test_a_worker_that_is_left_and_reports_progress_is_waited_for(supervisor: Any, until: Callable[..., Any]) -> None:
    """And meanwhile the new supervisor answers, and callers of the worker wait."""
    supervisor.plan("node", lifeline=False, ignore=["SIGTERM"])
    supervisor.start()
    old = supervisor.pid("node")
    busy = socket.socket(socket.AF_UNIX)
    busy.connect(supervisor.socket("node"))
    supervisor.process.kill()
    supervisor.process.wait(30)
    supervisor.start("-stoptimeout=2", ready=False)
    supervisor.wait_state("wallet", "running")
    assert (supervisor.unit("node")["state"], supervisor.pid("node")) == ("stopping", old)
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(supervisor.socket("node"))
    caller.sendall(b'{"jsonrpc":"2.0","method":"pid","id":1}\n')
    begun = time.monotonic()
    for part in range(10):
        request = {"jsonrpc": "2.0", "method": "notify", "params": [f"STATUS=flushing {part}"], "id": part}
        busy.sendall(json.dumps(request).encode() + b"\n")
        assert busy.recv(1000)
        until(lambda part=part: supervisor.unit("node")["status"] == f"flushing {part}")
        until(lambda part=part: time.monotonic() > begun + 0.25 * (part + 1))
    assert supervisor.pid("node") == old, "2.5 s later it still may"
    busy.sendall(b'{"jsonrpc":"2.0","method":"exit","params":[0]}\n')
    supervisor.wait_new("node", old)
    caller.settimeout(30)
    assert json.loads(caller.recv(1000))["result"] == supervisor.pid("node")
    for each in (busy, caller):
        each.close()


def test_stopped_while_it_waits_for_a_worker_that_is_left(supervisor: Any) -> None:
    supervisor.plan("node", lifeline=False, ignore=["SIGTERM"])
    supervisor.start()
    supervisor.process.kill()
    supervisor.process.wait(30)
    supervisor.start("-stoptimeout=5", ready=False)
    supervisor.wait_state("node", "stopping")
    assert supervisor.stop() == 0
    assert supervisor.processes() == []


def test_killed_and_started_again_many_times(supervisor: Any, until: Callable[..., Any]) -> None:
    for _ in range(5):
        supervisor.start()
        assert supervisor.worker("wallet", "pid") == supervisor.pid("wallet")
        supervisor.process.kill()
        supervisor.process.wait(30)
        for stream in (supervisor.process.stdout, supervisor.process.stderr):
            stream.close()
    until(lambda: supervisor.processes() == [])


def test_a_stranger_with_an_orphans_pid_is_left_alone(supervisor: Any) -> None:
    """The register names pid and start time; a pid alone may be anybody's by now."""
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        supervisor.run_dir.mkdir(parents=True)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        (supervisor.run_dir / "units").write_text(f"node {stranger.pid} 12345 {boot}\n")
        supervisor.start()
        assert stranger.poll() is None
        assert supervisor.stop() == 0
    finally:
        stranger.kill()
        stranger.wait()


def test_a_register_of_garbage_is_no_obstacle(supervisor: Any) -> None:
    supervisor.run_dir.mkdir(parents=True)
    (supervisor.run_dir / "units").write_bytes(
        b"\xff\xfe\n\nnode x y z\nnode 99999999999999999999 1 2\nnode -1 0 0 0\n"
    )
    supervisor.start()
    assert supervisor.stop() == 0


# -- in the background -------------------------------------------------------------------------------------------


def test_daemonwait_returns_when_everything_is_ready(supervisor: Any) -> None:
    done = supervisor.once("-daemonwait", "-pid=my.pid")
    assert (done.returncode, done.stdout, done.stderr) == (0, "bitcoind-mp starting\n", "")
    status = supervisor.status()
    assert {unit["state"] for unit in status["units"]} == {"running"}
    pid = status["supervisor"]["pid"]
    assert (supervisor.network / "my.pid").read_text() == f"{pid}\n"
    assert os.getsid(pid) != os.getsid(0), "it left our session"
    assert {str(Path(f"/proc/{pid}/fd/{fd}").readlink()) for fd in (0, 1, 2)} == {"/dev/null"}
    supervisor.ask("stop")


def test_daemon_returns_once_the_units_are_started(supervisor: Any) -> None:
    supervisor.plan("node", ready=False)
    done = supervisor.once("-daemon")
    assert (done.returncode, done.stdout) == (0, "bitcoind-mp starting\n")
    assert supervisor.unit("node")["state"] == "starting"
    assert (supervisor.network / "bitcoind-mp.pid").exists()
    supervisor.ask("stop")


def test_daemonwait_fails_as_the_unit_did(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.plan("node", exit=65, say="blocks/ is corrupt: see the manual")
    done = supervisor.once("-daemonwait")
    assert done.returncode == 65
    assert (
        done.stderr
        == "Error: The node did not start: exit status 65 (corrupt data); blocks/ is corrupt: see the manual\n"
    )
    until(lambda: supervisor.processes() == [], "everything to end")


@pytest.mark.parametrize(("options", "most"), [(["-starttimeout=1.2"], 8), ([], 20)])
def test_daemonwait_does_not_wait_for_ever(
    supervisor: Any, until: Callable[..., Any], options: list[str], most: float
) -> None:
    """What asks to be tried again is, but a person isn't kept longer than a few seconds, nor than a start may take."""
    supervisor.plan("node", exit=69, say="[net:error] Unable to bind to 0.0.0.0:18444.")
    began = time.monotonic()
    done = supervisor.once("-daemonwait", *options)
    assert done.returncode == 69
    assert time.monotonic() - began < most
    why = "exit status 69 (port taken): Unable to bind to 0.0.0.0:18444."
    assert done.stderr.splitlines() == [
        f"The node could not start yet, trying again: {why}",
        f"Error: The node did not start: {why}",
    ]
    until(lambda: supervisor.processes() == [], "everything to end")


def test_daemon_stays_though_a_unit_fails(supervisor: Any) -> None:
    supervisor.plan("node", exit=65, say="blocks/ is corrupt")
    assert supervisor.once("-daemon").returncode == 0
    assert supervisor.wait_state("node", "failed")["last_words"] == ["blocks/ is corrupt"]
    supervisor.ask("stop")


def test_a_socket_that_cannot_be_bound_is_reported_before_it_detaches(supervisor: Any) -> None:
    supervisor.run_dir.mkdir(parents=True)
    (supervisor.run_dir / "node.sock").write_text("in the way")
    done = supervisor.once("-daemon")
    assert done.returncode == 78
    assert "node.sock exists and is no socket" in done.stderr
    assert supervisor.processes() == []


def test_a_worker_that_runs_alone_is_left_alone(supervisor: Any) -> None:
    """Somebody answers on node.sock who is none of ours."""
    supervisor.run_dir.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(supervisor.socket("node"))
        other.listen()
        done = supervisor.once()
    assert done.returncode == 69
    assert "Another process answers on" in done.stderr


# -- below systemd -----------------------------------------------------------------------------------------------


class Above:
    """What systemd is to the supervisor."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "above"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(30)
        self.heard: list[str] = []

    def until(self, text: str) -> None:
        """Listen until a line of that text came."""
        while not any(text in line for line in self.heard):
            self.heard += self.socket.recv(4096).decode().splitlines()


@pytest.fixture
def above(tmp_path: Path) -> Iterator[Above]:
    made = Above(tmp_path)
    yield made
    made.socket.close()


def test_it_tells_systemd_what_its_workers_tell_it(supervisor: Any, above: Above) -> None:
    supervisor.plan("node", ready=False)
    supervisor.environ |= {"NOTIFY_SOCKET": str(above.path), "WATCHDOG_USEC": "200000"}
    supervisor.start(ready=False)
    above.until("EXTEND_TIMEOUT_USEC=")
    above.until("WATCHDOG=1")
    supervisor.wait_state("wallet", "running")
    assert "READY=1" not in above.heard
    supervisor.worker("node", "notify", "STATUS=replaying the journal")
    above.until("STATUS=node starting (replaying the journal), wallet running")
    supervisor.worker("node", "notify", "READY=1")
    above.until("READY=1")
    above.heard.clear()
    supervisor.process.send_signal(signal.SIGHUP)
    above.until("RELOADING=1")
    above.until("MONOTONIC_USEC=")
    above.until("READY=1")
    assert supervisor.worker("wallet", "reloads") == 1
    above.heard.clear()
    supervisor.process.send_signal(signal.SIGTERM)
    above.until("STOPPING=1")
    assert supervisor.process.wait(30) == 0


def test_a_reload_while_it_starts_does_not_say_that_it_is_ready(supervisor: Any, above: Above) -> None:
    supervisor.plan("node", ready=False)
    supervisor.environ |= {"NOTIFY_SOCKET": str(above.path)}
    supervisor.start(ready=False)
    supervisor.wait_state("wallet", "running")
    supervisor.process.send_signal(signal.SIGHUP)
    above.until("STATUS=node starting, wallet reloading")
    above.until("STATUS=node starting, wallet running")
    supervisor.worker("node", "notify", "STATUS=further")
    above.until("STATUS=node starting (further), wallet running")
    assert "READY=1" not in above.heard
    supervisor.worker("node", "notify", "READY=1")
    above.until("READY=1")


def test_a_reload_while_it_stops_does_not_kill_it(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.plan("wallet", stop_delay=1)
    supervisor.start()
    moved = supervisor.logs / "supervisor.log.old"
    supervisor.process.send_signal(signal.SIGTERM)
    until(lambda: "stopping" in supervisor.log("supervisor"))
    (supervisor.logs / "supervisor.log").rename(moved)
    supervisor.process.send_signal(signal.SIGHUP)
    assert supervisor.process.wait(30) == 0
    assert supervisor.log("supervisor").rstrip().endswith("stopped"), "it went on in a new file"


def test_it_starts_without_standard_streams(supervisor: Any) -> None:
    """What comes to descriptor 1 is not taken for a console."""
    close = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    command = [*close, *supervisor.command("-printtoconsole=1", "-daemonwait")]
    assert subprocess.run(command, env=supervisor.environ, check=False, timeout=30).returncode == 0
    pid = supervisor.status()["supervisor"]["pid"]
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)} == {"/dev/null"}  # noqa: PTH115
    os.kill(pid, signal.SIGTERM)


def test_too_few_open_files_are_refused_in_one_line(supervisor: Any) -> None:
    limit = ["/bin/sh", "-c", 'ulimit -n 100; exec "$@"', "sh"]
    done = subprocess.run(
        [*limit, *supervisor.command()], env=supervisor.environ, check=False, timeout=30, capture_output=True, text=True
    )
    assert done.returncode == 78
    assert done.stderr.startswith("Error: Not enough file descriptors available. 100 available, 128 required.")
    assert len(done.stderr.splitlines()) == 1


def test_no_worker_hears_of_systemds_variables(supervisor: Any, above: Above) -> None:
    supervisor.environ |= {"NOTIFY_SOCKET": str(above.path), "INVOCATION_ID": "abc", "WATCHDOG_USEC": "99000000"}
    supervisor.start()
    environ = supervisor.worker("node", "environ")
    assert environ["NOTIFY_SOCKET"] != str(above.path)
    assert environ["WATCHDOG_USEC"] == "30000000"
    assert "INVOCATION_ID" not in environ


def test_under_systemd_a_unit_that_cannot_start_ends_it_with_its_status(supervisor: Any, above: Above) -> None:
    supervisor.environ["NOTIFY_SOCKET"] = str(above.path)
    supervisor.plan("wallet", exit=78)
    assert supervisor.once().returncode == 78


def test_it_takes_the_sockets_that_systemd_bound(supervisor: Any, until: Callable[..., Any]) -> None:
    """By a process that sets LISTEN_PID and becomes the supervisor, as systemd does."""
    supervisor.run_dir.mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(supervisor.socket("supervisor"))
        listener.listen()
        inode = os.fstat(listener.fileno()).st_ino
        become = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
        become += "os.execv(sys.argv[2], sys.argv[2:])"
        supervisor.environ |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "supervisor"}
        supervisor.process = subprocess.Popen(
            [sys.executable, "-c", become, str(listener.fileno()), *supervisor.command()],
            env=supervisor.environ,
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for unit in ("node", "wallet"):
            supervisor.wait_state(unit, "running")
        fds = Path(f"/proc/{supervisor.process.pid}/fd")
        until(lambda: f"socket:[{inode}]" in {str(fd.readlink()) for fd in fds.iterdir()}, "it to hold the socket")
        assert supervisor.stop() == 0
        assert Path(supervisor.socket("supervisor")).exists(), "it is systemd's, not ours to remove"


def test_below_the_journal_lines_carry_priorities_and_no_file_is_written(supervisor: Any) -> None:
    ours, theirs = socket.socketpair()
    status = os.fstat(theirs.fileno())
    supervisor.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
    supervisor.start(stderr=theirs)
    theirs.close()
    stream = supervisor.worker("node", "environ")["JOURNAL_STREAM"]
    assert stream != supervisor.environ["JOURNAL_STREAM"], "the pipe to us is the node's stderr"
    supervisor.worker("node", "say", "<4>[net] slow peer")
    supervisor.worker("node", "say", "plain")
    ours.settimeout(30)
    heard = b""
    while b"plain" not in heard:
        heard += ours.recv(4096)
    lines = heard.decode().splitlines()
    assert any(line.startswith("<6>supervisor: [supervisor] bitcoind-mp") for line in lines)
    assert "<4>node: [net] slow peer" in lines
    assert "<6>node: plain" in lines
    assert not supervisor.logs.exists()
    assert supervisor.unit("node")["log"] == ["[net] slow peer", "plain"]
    assert supervisor.unit("node")["log_file"] is None
    ours.close()


# -- idle --------------------------------------------------------------------------------------------------------


def test_being_idle_costs_nothing(supervisor: Any) -> None:
    """Not a matter of time but of wake-ups: between two looks the supervisor is not scheduled at all."""
    supervisor.start()
    me = supervisor.process.pid

    def switches() -> int:
        text = Path(f"/proc/{me}/status").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if "ctxt_switches" in line)

    least = 10**9
    for _ in range(3):  # a busy machine may have it finish something in the first
        before = switches()
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            signal.sigtimedwait([], max(0.0, end - time.monotonic()))
        least = min(least, switches() - before)
    assert least <= 1


def test_the_unit_topic_tells_changes_and_nothing_else(supervisor: Any, listen: Callable[..., Any]) -> None:
    supervisor.start("-healthinterval=0.2")
    listener = listen("events.subscribe", ["unit"], 1, timeout=1.2)  # six health checks, which change nothing
    told: list[Any] = []
    quiet = False
    while not quiet:  # the last of the start may still be on its way
        try:
            told.append(listener.told("event.changed"))
        except TimeoutError:
            quiet = True
        assert len(told) < 4
    topic, state = told[-1]
    assert topic == "unit"
    units = {unit["name"]: unit for unit in state["units"]}
    assert units["node"]["state"] == "running"
    assert set(units["node"]) == {"name", "state", "pid", "since", "restarts", "health", "reason", "status"}


def test_a_change_is_told_to_whoever_subscribed(supervisor: Any, listen: Callable[..., Any]) -> None:
    supervisor.start()
    listener = listen("events.subscribe", ["unit"], 1)
    old = supervisor.pid("node")
    os.kill(old, signal.SIGKILL)
    node: dict[str, Any] = {}
    while node.get("restarts") != 1 or node["state"] != "running":
        node = next(unit for unit in listener.told("event.changed")[1]["units"] if unit["name"] == "node")
    assert node["pid"] not in (None, old)
