"""Upgrade in place: the supervisor becomes its program on disk while its workers run, and callers only wait."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError

pytestmark = pytest.mark.parametrize("supervisor", ["forked"], indirect=True)


def upgrade(supervisor: Any) -> None:
    supervisor.ask("upgrade")
    supervisor.ask("upgraded")


def descriptors(pid: int) -> list[str]:
    return sorted(str(entry.readlink()).partition(":")[0] for entry in Path(f"/proc/{pid}/fd").iterdir())


def test_it_stays_the_same_process_and_its_workers_are_replaced(supervisor: Any) -> None:
    supervisor.start()
    before = supervisor.status()
    supervisor.worker("node", "say", "said before")
    upgrade(supervisor)
    after = supervisor.status()
    assert after["supervisor"]["pid"] == before["supervisor"]["pid"] == supervisor.process.pid
    assert abs(after["supervisor"]["since"] - before["supervisor"]["since"]) < 0.1
    for old, new in zip(before["units"], after["units"], strict=True):
        assert (new["state"], new["restarts"], new["health"]) == ("running", 0, "ok")
        assert new["pid"] != old["pid"]
        assert supervisor.worker(new["name"], "pid") == new["pid"]
    assert "said before" in supervisor.unit("node")["log"]
    assert supervisor.stop() == 0
    assert supervisor.processes() == []
    assert not [path for path in supervisor.run_dir.iterdir() if path.is_socket()]


def test_callers_wait_and_nobody_is_refused(supervisor: Any) -> None:
    supervisor.start()
    done = threading.Event()
    answers: dict[str, list[int]] = {"node": [], "wallet": []}
    refused: list[Exception] = []

    def ask(unit: str) -> None:
        while not done.wait(0.002):
            try:
                answers[unit].append(supervisor.worker(unit, "pid"))
            except ConnectionError as error:  # it ended with the call: the next call is what must not be refused
                if not str(error).startswith("pid was not answered"):
                    refused.append(error)

    threads = [threading.Thread(target=ask, args=(unit,)) for unit in answers]
    for thread in threads:
        thread.start()
    for _ in range(3):
        upgrade(supervisor)
    done.set()
    for thread in threads:
        thread.join(30)
    assert refused == []
    assert all(len(set(pids)) >= 3 for pids in answers.values()), "each process answered"


def test_what_it_hands_over_it_hands_over_whole(supervisor: Any, until: Callable[..., Any]) -> None:
    """Nothing leaks from one program to the next, and the crashes of old and new workers are both seen."""
    supervisor.start("-restartdelay=0")
    upgrade(supervisor)
    first = until(lambda: descriptors(supervisor.process.pid), "a look at what is not changing")
    for _ in range(3):
        upgrade(supervisor)
    # a connection of the moment may be among the first; one that leaks at each upgrade would be there three times
    until(lambda: len(descriptors(supervisor.process.pid)) <= len(first), "no more descriptors than before")
    pid = supervisor.pid("node")
    os.kill(pid, signal.SIGKILL)
    assert supervisor.wait_new("node", pid)["last_exit"]["signal"] == 9
    supervisor.process.kill()
    supervisor.process.wait(30)
    until(lambda: supervisor.processes() == [], "the workers to see that it is gone")


def test_without_room_for_its_table_it_goes_on_with_the_one_before(supervisor: Any) -> None:
    supervisor.start()
    pids = [supervisor.pid("node"), supervisor.pid("wallet")]
    table = supervisor.run_dir / "supervisor.json"
    before = table.read_bytes()
    (supervisor.run_dir / f"supervisor.json.{supervisor.process.pid}.new").mkdir()  # where it is written first
    upgrade(supervisor)
    assert table.read_bytes() == before
    assert not {supervisor.pid("node"), supervisor.pid("wallet")} & set(pids), "the units were restarted after that"


def test_a_stopped_unit_stays_so_and_a_failed_one_keeps_its_reason(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    supervisor.ask("stop", "wallet")
    supervisor.plan("node", exit=78, say="no such option")
    os.kill(supervisor.pid("node"), signal.SIGKILL)
    before = supervisor.wait_state("node", "failed")
    upgrade(supervisor)
    with pytest.raises(
        RpcError, match=r"The wallet is stopped\. Start it with: bitcoin-mp -regtest -datadir=\S+ start wallet"
    ):
        supervisor.worker("wallet", "pid")
    after = supervisor.unit("node")
    keys = ("state", "reason", "since", "restarts", "last_exit", "last_words")
    assert {key: after[key] for key in keys} == {key: before[key] for key in keys}
    assert after["last_words"][-1] == "no such option"
    supervisor.plan("node")
    assert supervisor.ask("start", "node")["state"] == "running"


def test_a_program_that_does_not_start_is_refused_and_nothing_changes(supervisor: Any) -> None:
    supervisor.start()
    pids = [supervisor.pid("node"), supervisor.pid("wallet")]
    (supervisor.plans / "broken").write_text("half installed")
    with pytest.raises(RpcError, match=r"The new program does not start: half installed\. Nothing was changed"):
        supervisor.ask("upgrade")
    (supervisor.plans / "broken").unlink()
    assert [supervisor.pid("node"), supervisor.pid("wallet")] == pids
    upgrade(supervisor)
    assert supervisor.pid("node") != pids[0]


def test_a_unit_that_does_not_come_up_again_ends_the_upgrade_there(supervisor: Any) -> None:
    supervisor.start()
    wallet = supervisor.pid("wallet")
    supervisor.plan("node", exit=78)
    supervisor.ask("upgrade")
    with pytest.raises(RpcError, match="The upgrade has come to a halt: the node did not start: exit status 78"):
        supervisor.ask("upgraded")
    assert supervisor.pid("wallet") == wallet


def test_a_signal_that_comes_between_the_two_programs_is_not_lost(supervisor: Any) -> None:
    supervisor.start()
    supervisor.ask("upgrade")
    supervisor.process.terminate()
    assert supervisor.process.wait(30) == 0
    assert "] stopped" in supervisor.log("supervisor")
    assert supervisor.processes() == []


def test_a_stop_while_the_units_are_restarted_is_a_stop(supervisor: Any) -> None:
    """The node is up again while the wallet, which is next, is on its way out."""
    supervisor.plan("node", stop_delay=1)
    supervisor.plan("wallet", stop_delay=3)
    supervisor.start()
    supervisor.ask("upgrade")
    supervisor.wait_state("node", "stopping")
    supervisor.process.terminate()
    assert supervisor.process.wait(30) == 0
    assert supervisor.processes() == []


def test_the_command(supervisor: Any) -> None:
    """``bitcoind-mp reload --exec``, and what it says where nobody runs."""
    command = supervisor.command("reload", "--exec")
    done = subprocess.run(command, env=supervisor.environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no supervisor answers at ")
    supervisor.start()
    pid = supervisor.pid("node")
    done = subprocess.run(command, env=supervisor.environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].endswith("has taken over, and every unit runs it")
    assert supervisor.pid("node") != pid


def test_a_program_of_a_unit_that_can_t_be_loaded_is_refused_too(supervisor: Any) -> None:
    """Before anything is given up: else that unit would be down after the upgrade."""
    supervisor.start()
    before = [supervisor.pid("node"), supervisor.pid("wallet")]
    (supervisor.plans / "preload").write_text("fail")
    with pytest.raises(RpcError, match=r"The new program does not start: ImportError: half installed\. Nothing was"):
        supervisor.ask("upgrade")
    assert [supervisor.pid("node"), supervisor.pid("wallet")] == before
    (supervisor.plans / "preload").unlink()
    upgrade(supervisor)
    assert supervisor.pid("node") != before[0]
