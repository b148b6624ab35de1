"""-adopt: workers outlive a killed supervisor, and the next one takes them over, sockets and all."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError

ADOPT = "-adopt"
LOST = "left over from a supervisor that was killed, so that its exit status is lost"
pytestmark = pytest.mark.parametrize("supervisor", ["forked"], indirect=True)


@pytest.fixture
def orphaned(supervisor: Any) -> dict[str, int]:
    """The pids of workers whose supervisor was killed."""
    supervisor.start(ADOPT)
    for name in ("node", "wallet"):  # what real workers do
        (supervisor.network / f"{name}.lock").write_text(f"{supervisor.pid(name)}\n")
    pids = {name: supervisor.pid(name) for name in ("node", "wallet")}
    kill(supervisor)
    return pids


def kill(supervisor: Any) -> None:
    supervisor.process.kill()
    supervisor.process.wait(30)
    for stream in (supervisor.process.stdout, supervisor.process.stderr):
        stream.close()


def pids(supervisor: Any) -> dict[str, int]:
    return {name: supervisor.pid(name) for name in ("node", "wallet")}


def test_workers_run_on_and_are_taken_over(
    supervisor: Any, orphaned: dict[str, int], until: Callable[..., Any]
) -> None:
    for name, pid in orphaned.items():
        assert supervisor.worker(name, "pid") == pid, "they serve with nobody above them"
    supervisor.start(ADOPT)
    assert pids(supervisor) == orphaned
    for name, pid in orphaned.items():
        assert supervisor.worker(name, "pid") == pid
        assert supervisor.unit(name)["adopted"]
    assert supervisor.unit("node")["health"] == "ok"
    supervisor.worker("node", "say", "heard again")
    until(lambda: "heard again" in supervisor.log("node"), "its output")
    supervisor.worker("node", "notify", "STATUS=told again")
    until(lambda: supervisor.unit("node")["status"] == "told again")


def test_one_that_was_taken_over_is_watched_as_it_was_told_at_its_start(
    supervisor: Any, orphaned: dict[str, int], until: Callable[..., Any]
) -> None:
    """It goes on giving signs of life that often, whatever the configuration says by now; the next process won't."""
    supervisor.start(ADOPT, "-watchdog=7")
    assert {name: supervisor.unit(name)["watchdog"] for name in orphaned} == {"node": 30, "wallet": 30}
    os.kill(orphaned["node"], signal.SIGKILL)
    assert supervisor.wait_new("node", orphaned["node"])["watchdog"] == 7


def test_one_that_was_taken_over_is_restarted_when_it_dies_and_its_callers_wait(
    supervisor: Any, orphaned: dict[str, int]
) -> None:
    supervisor.start(ADOPT)
    os.kill(orphaned["node"], signal.SIGKILL)
    assert supervisor.worker("node", "pid") == supervisor.wait_new("node", orphaned["node"])["pid"]
    assert supervisor.unit("node")["last_exit"]["why"] == LOST
    assert not supervisor.unit("node")["adopted"]
    assert supervisor.unit("node")["restarts"] == 1
    assert supervisor.pid("wallet") == orphaned["wallet"]


def test_they_stop_as_any_other(supervisor: Any, orphaned: dict[str, int]) -> None:
    supervisor.start(ADOPT)
    assert supervisor.stop() == 0
    assert {name: int((supervisor.plans / f"{name}.stopped").read_text()) for name in orphaned} == orphaned
    assert supervisor.processes() == []
    left = [path.name for path in supervisor.run_dir.iterdir() if path.is_socket() or path.is_fifo()]
    assert left == []


def test_a_supervisor_killed_again_and_again_loses_and_doubles_none(
    supervisor: Any, orphaned: dict[str, int], until: Callable[..., Any]
) -> None:
    refused: list[Exception] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.002):
            try:
                assert supervisor.worker("node", "pid") == orphaned["node"]
            except (OSError, RpcError) as error:
                refused.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(4):
        supervisor.start(ADOPT)
        assert pids(supervisor) == orphaned
        kill(supervisor)
    done.set()
    asking.join(30)
    assert refused == []
    until(lambda: sorted(supervisor.processes()) == sorted(orphaned.values()), "those two alone to be left")


def test_an_upgrade_keeps_what_was_taken_over_until_its_turn(supervisor: Any, orphaned: dict[str, int]) -> None:
    supervisor.start(ADOPT)
    supervisor.ask("upgrade")
    supervisor.ask("upgraded")
    new = pids(supervisor)
    assert not set(new.values()) & set(orphaned.values())
    assert supervisor.worker("node", "pid") == new["node"]
    assert supervisor.stop() == 0


def test_one_that_keeps_its_socket_to_itself_is_replaced(supervisor: Any, orphaned: dict[str, int]) -> None:
    supervisor.start(ADOPT)
    supervisor.plan("node", store=False)
    supervisor.ask("restart", "node")
    old = supervisor.pid("node")
    (supervisor.network / "node.lock").write_text(f"{old}\n")
    kill(supervisor)
    supervisor.plan("node")
    supervisor.start(ADOPT)
    assert supervisor.wait_new("node", old)["last_exit"]["why"] == LOST
    assert supervisor.worker("node", "pid") == supervisor.pid("node")
    assert supervisor.pid("wallet") == orphaned["wallet"]
    assert old not in supervisor.processes()


def test_one_that_has_no_channel_to_give_back_is_replaced(supervisor: Any, orphaned: dict[str, int]) -> None:
    """As one from before there was any."""
    supervisor.start(ADOPT)
    supervisor.plan("wallet", ends=False)
    supervisor.ask("restart", "wallet")
    old = supervisor.pid("wallet")
    (supervisor.network / "wallet.lock").write_text(f"{old}\n")
    kill(supervisor)
    supervisor.plan("wallet")
    supervisor.start(ADOPT)
    assert supervisor.wait_new("wallet", old)["last_exit"]["why"] == LOST
    assert supervisor.worker("wallet", "environ")["LISTEN_FDNAMES"].split(":")[:2] == ["wallet", "to-node"]
    assert supervisor.pid("node") == orphaned["node"]


def test_a_pid_without_the_lock_is_nobodys_worker(supervisor: Any, orphaned: dict[str, int]) -> None:
    (supervisor.network / "node.lock").write_text("1\n")
    supervisor.start(ADOPT)
    assert supervisor.wait_new("node", orphaned["node"])["last_exit"]["why"] == LOST
    assert supervisor.pid("wallet") == orphaned["wallet"]


def test_without_the_option_they_are_stopped_and_replaced(supervisor: Any, orphaned: dict[str, int]) -> None:
    supervisor.start()
    for name, pid in orphaned.items():
        assert supervisor.wait_new(name, pid)["pid"] == supervisor.worker(name, "pid")
        assert pid not in supervisor.processes()
    assert "lifeline" in supervisor.worker("node", "environ")["LISTEN_FDNAMES"]
    assert [path.name for path in supervisor.run_dir.iterdir() if path.is_fifo()] == []
