"""What the supervisor does about real children: crash, hang, never ready, deaf to SIGTERM, failing at once."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import seconds_in

from bitcoind_mp.interfaces.errors import RpcError

pytestmark = pytest.mark.parametrize("supervisor", ["executed", "forked"], indirect=True)


def test_both_units_come_up_and_go_down_in_order(supervisor: Any) -> None:
    supervisor.start()
    assert supervisor.worker("node", "pid") == supervisor.pid("node")
    assert supervisor.worker("wallet", "pid") == supervisor.pid("wallet")
    assert supervisor.unit("node")["status"] == "at your service"
    assert supervisor.stop() == 0
    log = supervisor.log("supervisor")
    assert log.index("wallet: stopped") < log.index("node: stopped") < log.index("] stopped")
    assert "got SIGTERM" in supervisor.log("wallet")
    assert supervisor.processes() == []
    assert not [path for path in supervisor.run_dir.iterdir() if path.is_socket()], "no socket is left behind"


def test_a_worker_inherits_socket_channels_lifeline_and_configuration_and_nothing_else(supervisor: Any) -> None:
    stray = os.open("/dev/zero", os.O_RDONLY)
    supervisor.start(pass_fds=[stray])
    os.close(stray)
    for unit in ("node", "wallet"):
        environ = supervisor.worker(unit, "environ")
        pid = supervisor.pid(unit)
        assert environ["LISTEN_PID"] == environ["WATCHDOG_PID"] == str(pid)
        names = environ["LISTEN_FDNAMES"].split(":")
        assert (names[0], sorted(names[1:-2]), names[-2:]) == (
            unit, ["at-node", "to-node"], ["configuration", "lifeline"]
        )  # fmt: skip
        assert environ["WATCHDOG_USEC"] == "30000000"
        inherited = dict(supervisor.worker(unit, "inherited"))
        assert sorted(inherited) == [0, 1, 2, 3, 4, 5, 6, 7]
        assert inherited[0] == "/dev/null"
        assert inherited[1] == inherited[2] != inherited[7]
        assert all(inherited[number].startswith("socket:") for number in (3, 4, 5, 7))
        assert inherited[6] == "/memfd:configuration (deleted)"
        assert inherited[1].startswith("pipe:")


def test_sockets_and_their_directory_are_the_owners_alone(supervisor: Any) -> None:
    supervisor.start()
    assert supervisor.run_dir.stat().st_mode & 0o777 == 0o700
    for role in ("supervisor", "node", "wallet"):
        assert (supervisor.run_dir / f"{role}.sock").stat().st_mode & 0o777 == 0o600
    assert supervisor.logs.stat().st_mode & 0o077 == 0


def test_a_killed_worker_is_replaced_and_the_other_is_not_touched(supervisor: Any) -> None:
    supervisor.start()
    node, wallet = supervisor.pid("node"), supervisor.pid("wallet")
    os.kill(node, signal.SIGKILL)
    after = supervisor.wait_new("node", node)
    assert supervisor.pid("wallet") == wallet
    assert after["restarts"] == 1
    assert after["last_exit"]["why"] == "killed by SIGKILL"
    assert after["last_exit"]["signal"] == 9


def test_callers_wait_while_a_worker_is_replaced(supervisor: Any) -> None:
    """Nobody sees "connection refused": whoever connects in between is answered by the new process."""
    supervisor.start()
    answers: list[int] = []
    errors: list[Exception] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.002):
            try:
                answers.append(supervisor.worker("node", "pid"))
            except ConnectionResetError as error:  # it was killed while it answered this one
                errors.append(error)
            except OSError as error:
                if "was not answered" not in str(error):
                    errors.append(error)
                    raise

    asking = threading.Thread(target=ask)
    asking.start()
    pids = []
    for _ in range(5):
        pids.append(supervisor.pid("node"))
        os.kill(pids[-1], signal.SIGKILL)
        supervisor.wait_new("node", pids[-1])
    pids.append(supervisor.pid("node"))
    done.set()
    asking.join(30)
    assert not asking.is_alive()
    assert not [error for error in errors if isinstance(error, ConnectionRefusedError | FileNotFoundError)]
    assert set(answers) <= set(pids)
    assert len(set(answers)) > 1


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_many_kills_leave_nothing_behind(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start("-restartdelay=0")
    me = supervisor.process.pid
    before = descriptors(me)
    for _ in range(15):
        for unit in ("node", "wallet"):
            pid = supervisor.pid(unit)
            os.kill(pid, signal.SIGKILL)
            supervisor.wait_new(unit, pid)
    assert supervisor.unit("node")["restarts"] == 15
    until(lambda: descriptors(me) <= before + 1, "its descriptors to be closed")
    children = Path(f"/proc/{me}/task/{me}/children")

    def known() -> set[int]:
        """One that the next is forked from may yet be made."""
        return {unit[key] for unit in supervisor.status()["units"] for key in ("pid", "preloaded")} - {None}

    until(
        lambda: {int(child) for child in children.read_text().split()} == known(),
        "nobody else to be left, no zombie either",
    )


def test_a_hung_loop_is_found_by_the_watchdog_and_its_stacks_are_logged(supervisor: Any) -> None:
    supervisor.start("-watchdog=0.5")
    pid = supervisor.pid("node")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(supervisor.socket("node"))
        connection.sendall(b'{"jsonrpc":"2.0","method":"hang","id":1}\n')
        after = supervisor.wait_new("node", pid)
    assert after["last_exit"]["why"] == "watchdog: its loop gave no sign of life for 0.5 s; killed by SIGABRT"
    assert "the_loop_hangs_here" in supervisor.log("node")


def test_a_worker_that_is_never_ready_is_ended_and_tried_again(supervisor: Any) -> None:
    supervisor.plan("node", ready=False)
    supervisor.start("-starttimeout=node:0.5", "-startlimit=2", ready=False)
    found = supervisor.wait_state("node", "failed")
    assert found["reason"].startswith("2 starts in a row failed, the last with not ready after ")
    assert seconds_in(found["reason"]) >= 0.5
    supervisor.wait_state("wallet", "running")


def test_progress_keeps_a_slow_start_alive(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.plan("node", ready=False)
    supervisor.start("-starttimeout=node:2", ready=False)
    pid = until(lambda: supervisor.unit("node")["pid"])
    for step in range(13):
        supervisor.worker("node", "notify", f"STATUS=replaying {step}")
        until(lambda step=step: supervisor.unit("node")["status"] == f"replaying {step}")
        end = time.monotonic() + 0.2
        until(lambda end=end: time.monotonic() > end)
    supervisor.worker("node", "notify", "READY=1")
    assert supervisor.wait_state("node", "running")["pid"] == pid


def test_one_that_fails_at_once_is_given_up_with_its_last_words(supervisor: Any) -> None:
    supervisor.plan("node", exit=1, say="I can't find my keys")
    supervisor.start(ready=False)
    found = supervisor.wait_state("node", "failed")
    assert found["reason"] == "5 starts in a row failed, the last with exit status 1"
    assert found["last_words"][-1] == "I can't find my keys"
    assert found["restarts"] == 4
    assert found["health"] == "failed"
    assert supervisor.log("node").splitlines() == ["I can't find my keys"] * 5
    supervisor.plan("node")
    assert supervisor.ask("start", "node")["state"] == "running"


@pytest.mark.parametrize(("code", "why"), [(78, "bad configuration"), (65, "corrupt data")])
def test_what_cannot_heal_is_not_tried_again(supervisor: Any, code: int, why: str) -> None:
    supervisor.start()
    supervisor.plan("node", exit=code, say="no way")
    os.kill(supervisor.pid("node"), signal.SIGKILL)
    found = supervisor.wait_state("node", "failed")
    assert (found["restarts"], found["reason"]) == (1, f"exit status {code} ({why})")
    assert supervisor.log("node").count("no way\n") == 1


def test_what_asks_to_be_tried_again_is(supervisor: Any) -> None:
    supervisor.plan("node", exit=75)
    supervisor.start(ready=False)
    found = supervisor.wait_state("node", "backoff")
    assert found["next_start"] is not None
    supervisor.plan("node")
    supervisor.wait_state("node", "running")


def test_callers_of_a_unit_that_is_down_are_told_so(supervisor: Any) -> None:
    supervisor.plan("node", exit=65)
    supervisor.start(ready=False)
    supervisor.wait_state("node", "failed")
    see = r"See: bitcoin-mp -regtest -datadir=\S+ logs node\. Then: bitcoin-mp -regtest -datadir=\S+ start node"
    with pytest.raises(RpcError, match=rf"The node has failed: exit status 65 .*[^.]\. {see}") as refused:
        supervisor.worker("node", "getblockcount")
    assert refused.value.code == -9
    supervisor.wait_state("wallet", "running")
    supervisor.ask("stop", "wallet")
    with pytest.raises(RpcError, match="The wallet is stopped"):
        supervisor.worker("wallet", "getbalance")
    supervisor.ask("start", "wallet")
    assert supervisor.worker("wallet", "pid") == supervisor.pid("wallet")


def test_one_that_ignores_sigterm_is_killed_after_its_deadline(supervisor: Any) -> None:
    supervisor.plan("node", ignore=["SIGTERM"])
    supervisor.start("-stoptimeout=node:0.5")
    stopped = supervisor.ask("stop", "node")
    assert stopped["state"] == "stopped"
    found = supervisor.unit("node")
    assert found["last_exit"]["why"].startswith("did not stop within ")
    assert seconds_in(found["last_exit"]["why"]) >= 0.5
    assert found["last_exit"]["signal"] == 9


def test_the_whole_stops_within_its_deadlines_even_then(supervisor: Any) -> None:
    for unit in ("node", "wallet"):
        supervisor.plan(unit, ignore=["SIGTERM"])
    supervisor.start("-stoptimeout=0.4")
    begun = time.monotonic()
    assert supervisor.stop() == 0
    assert time.monotonic() - begun < 20
    assert supervisor.processes() == []


def test_what_a_worker_started_ends_with_it(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    child = supervisor.worker("node", "child")
    os.kill(supervisor.pid("node"), signal.SIGKILL)
    until(lambda: not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes())


def test_start_stop_restart_and_reload(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    first = supervisor.pid("wallet")
    second = supervisor.ask("restart", "wallet")
    assert (second["state"], second["pid"] != first, second["restarts"]) == ("running", True, 0)
    assert supervisor.ask("reload", "wallet")["state"] == "running"
    until(lambda: supervisor.worker("wallet", "reloads") == 1)
    assert supervisor.ask("stop", "wallet")["state"] == "stopped"
    assert supervisor.ask("stop", "wallet")["state"] == "stopped"
    with pytest.raises(RpcError, match="wallet is stopped: there is nothing to reload"):
        supervisor.ask("reload", "wallet")
    third = supervisor.ask("start", "wallet")
    assert (third["state"], third["pid"] != second["pid"]) == ("running", True)
    assert supervisor.ask("start", "wallet")["pid"] == third["pid"]
    with pytest.raises(RpcError, match="There is no unit named 'nothing': expected node or wallet"):
        supervisor.ask("restart", "nothing")


def test_a_stop_that_a_start_overrules_says_so(supervisor: Any) -> None:
    supervisor.plan("node", stop_delay=1)
    supervisor.start()
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(supervisor.ask, "stop", "node")
        supervisor.wait_state("node", "stopping")
        assert supervisor.ask("start", "node")["state"] == "running"
        with pytest.raises(RpcError, match="The node was started again while it was to be stopped"):
            stopping.result(30)


def test_a_start_that_fails_says_why(supervisor: Any) -> None:
    supervisor.start()
    supervisor.ask("stop", "node")
    supervisor.plan("node", exit=65, say="blocks/ is corrupt")
    with pytest.raises(RpcError, match=r"The node did not start: exit status 65 \(corrupt data\); blocks/ is corrupt"):
        supervisor.ask("start", "node")
    supervisor.plan("node", exit=65, say="2026-11-23T15:40:24Z [chain:error] blocks/ is corrupt\nClosing…\nClosed.")
    with pytest.raises(RpcError, match=r"The node did not start: exit status 65 \(corrupt data\): blocks/ is corrupt$"):
        supervisor.ask("start", "node")
    assert supervisor.unit("node")["last_words"][1:] == ["Closing…", "Closed."]


def test_a_start_that_is_killed_says_so_and_that_there_will_be_another(supervisor: Any) -> None:
    supervisor.start("-restartdelay=5")
    supervisor.ask("stop", "node")
    supervisor.plan("node", ready=False)
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(supervisor.ask, "start", "node")
        supervisor.wait_state("node", "starting")
        assert supervisor.worker("node", "say", "nothing to do with it") is None
        os.kill(supervisor.pid("node"), signal.SIGKILL)
        with pytest.raises(RpcError, match=r"The node did not start: killed by SIGKILL; it is tried again$"):
            starting.result(30)


def test_a_disabled_unit_rests_until_it_is_started(supervisor: Any) -> None:
    supervisor.start("-disablewallet", ready=False)
    supervisor.wait_state("node", "running")
    found = supervisor.unit("wallet")
    assert (found["state"], found["enabled"], found["health"]) == ("stopped", False, "ok")
    with pytest.raises(RpcError, match="The wallet is stopped"):
        supervisor.worker("wallet", "getbalance")
    assert supervisor.ask("start", "wallet")["state"] == "running"


def test_a_lifeline_that_is_cut_ends_one_process_and_no_other(supervisor: Any) -> None:
    """Each hangs on one of its own: were it all of theirs, every process to come would be cut off with them."""
    supervisor.start("-restartdelay=0")
    pids = {name: supervisor.pid(name) for name in ("node", "wallet")}
    supervisor.worker("node", "cut_lifeline")
    assert supervisor.wait_new("node", pids["node"])["last_exit"]["why"] == "exit status 0"
    assert supervisor.pid("wallet") == pids["wallet"]
    again = supervisor.pid("node")
    assert supervisor.worker("node", "pid") == again, "and it stays"
    supervisor.process.kill()
    supervisor.process.wait(30)
