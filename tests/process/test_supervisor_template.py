"""Workers that are forked from a preloaded process: what a fork is, and what becomes of it when its template fails."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import seconds_in

pytestmark = pytest.mark.parametrize("supervisor", ["forked"], indirect=True)


def words(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def strangers(supervisor: Any) -> list[int]:
    """The supervisor's children that are no unit's, nor its template: spares, and nothing else."""
    path = Path(f"/proc/{supervisor.process.pid}/task/{supervisor.process.pid}/children")
    known = {unit[key] for unit in supervisor.status()["units"] for key in ("pid", "preloaded")}
    return [int(child) for child in path.read_text().split() if int(child) not in known]


def spares(supervisor: Any, unit: dict[str, Any]) -> list[int]:
    """Those of one unit's template."""
    return [pid for pid in strangers(supervisor) if words(pid) == words(unit["preloaded"])]


def test_a_fork_is_the_supervisors_child_with_a_worker_s_name_group_and_surroundings(supervisor: Any) -> None:
    supervisor.start()
    unit = supervisor.unit("node")
    pid = unit["pid"]
    assert supervisor.worker("node", "loaded") == "", "it was there before the fork"
    assert parent(pid) == parent(unit["preloaded"]) == supervisor.process.pid
    assert os.getpgid(pid) == pid
    assert words(pid) == unit["command"]
    assert words(unit["preloaded"])[3:5] == ["bitcoind_mp.service.template", "preloaded"]
    environ = supervisor.worker("node", "environ")
    assert "LOADED" not in environ, "its environment is not its template's"
    assert environ["LISTEN_PID"] == environ["WATCHDOG_PID"] == str(pid)


def test_a_crash_is_mended_from_the_same_template_and_a_persons_restart_loads_anew(supervisor: Any) -> None:
    supervisor.start()
    first = supervisor.unit("node")
    (supervisor.plans / "preload").write_text("newer program")
    os.kill(first["pid"], signal.SIGKILL)
    second = supervisor.wait_new("node", first["pid"])
    assert second["preloaded"] == first["preloaded"]
    assert supervisor.worker("node", "loaded") == ""
    supervisor.ask("restart", "node")
    third = supervisor.unit("node")
    assert third["preloaded"] != first["preloaded"]
    assert supervisor.worker("node", "loaded") == "newer program"
    assert not Path(f"/proc/{first['preloaded']}").exists()


def test_a_template_that_is_killed_is_made_again_and_its_worker_lives_on(
    supervisor: Any, until: Callable[..., Any]
) -> None:
    supervisor.start()
    before = supervisor.unit("node")
    os.kill(before["preloaded"], signal.SIGKILL)
    until(lambda: supervisor.unit("node")["preloaded"] is None, "its end to be noticed")
    os.kill(before["pid"], signal.SIGKILL)
    executed = supervisor.wait_new("node", before["pid"])
    assert supervisor.worker("node", "loaded") is None, "with no template it is executed"
    assert until(lambda: supervisor.unit("node")["preloaded"], "another") != before["preloaded"]
    assert supervisor.pid("node") == executed["pid"]
    assert f"its preloaded process (pid {before['preloaded']}) ended" in supervisor.log("supervisor")


def test_where_passphrases_lie_is_told_to_the_wallet_alone(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.environ["CREDENTIALS_DIRECTORY"] = "/run/credentials/x"
    supervisor.start()
    for name, is_told in (("node", False), ("wallet", True)):
        unit = supervisor.unit(name)
        (spare,) = until(lambda: spares(supervisor, unit), "a spare")  # noqa: B023
        for pid in (unit["pid"], unit["preloaded"], spare):
            assert (b"CREDENTIALS_DIRECTORY=" in Path(f"/proc/{pid}/environ").read_bytes()) == is_told
        assert ("CREDENTIALS_DIRECTORY" in supervisor.worker(name, "environ")) == is_told


def test_the_next_process_is_there_already(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    before = supervisor.unit("node")
    (spare,) = until(lambda: spares(supervisor, before), "a spare")
    os.kill(before["pid"], signal.SIGKILL)
    assert supervisor.wait_new("node", before["pid"])["pid"] == spare
    (another,) = until(lambda: spares(supervisor, before), "another")
    os.kill(another, signal.SIGKILL)
    until(lambda: spares(supervisor, before) not in ([], [another]), "one in place of that which was killed")
    os.kill(spare, signal.SIGKILL)
    supervisor.wait_new("node", spare)
    assert supervisor.worker("node", "loaded") == ""
    assert supervisor.unit("node")["preloaded"] == before["preloaded"]


def test_a_template_that_stands_still_holds_nobody_up_and_never_makes_a_second_worker(supervisor: Any) -> None:
    supervisor.start()
    before = after = supervisor.unit("node")
    os.kill(before["preloaded"], signal.SIGSTOP)
    for _ in range(2):  # the first may have been there already
        os.kill(after["pid"], signal.SIGKILL)
        after = supervisor.wait_new("node", after["pid"])
        if supervisor.worker("node", "loaded") is None:
            break
    assert supervisor.worker("node", "loaded") is None
    assert not Path(f"/proc/{before['preloaded']}").exists()
    nodes = [pid for pid in supervisor.processes() if words(pid) == after["command"]]
    assert nodes == [after["pid"]]


def test_a_spare_that_stands_still_holds_nobody_up_and_is_ended(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    before = supervisor.unit("node")
    (spare,) = until(lambda: spares(supervisor, before), "a spare")
    os.kill(spare, signal.SIGSTOP)
    os.kill(before["pid"], signal.SIGKILL)
    supervisor.wait_new("node", before["pid"])
    assert supervisor.worker("node", "loaded") is None, "it is executed"
    until(lambda: not Path(f"/proc/{spare}").exists(), "the spare to end with its template")


def test_a_program_that_cannot_be_preloaded_is_executed(supervisor: Any) -> None:
    (supervisor.plans / "preload").write_text("fail")
    supervisor.start()
    assert supervisor.worker("node", "loaded") is None
    assert "ImportError: half installed" in supervisor.log("node")


def test_a_stop_does_not_wait_for_a_load_that_hangs(supervisor: Any, until: Callable[..., Any]) -> None:
    (supervisor.plans / "preload").write_text("hang")
    supervisor.start(ready=False)
    loading = until(lambda: supervisor.unit("node"))
    assert (loading["state"], loading["pid"]) == ("starting", None)
    assert supervisor.ask("stop", "node")["state"] == "stopped"
    (supervisor.plans / "preload").unlink()
    assert supervisor.ask("start", "node")["state"] == "running"
    assert supervisor.stop() == 0, "the wallet still loads"
    assert supervisor.processes() == []


def test_a_load_that_hangs_fails_the_start_at_its_deadline(supervisor: Any, until: Callable[..., Any]) -> None:
    (supervisor.plans / "preload").write_text("hang")
    supervisor.start("-starttimeout=node:0.5", ready=False)
    ended = until(lambda: until(lambda: supervisor.unit("node"))["last_exit"], "the first start to be given up")
    assert ended["why"].startswith("not ready after ")
    assert seconds_in(ended["why"]) >= 0.5


def test_templates_end_with_a_killed_supervisor(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    os.kill(supervisor.process.pid, signal.SIGKILL)
    supervisor.process.wait()
    until(lambda: supervisor.processes() == [], "all to end")


def test_what_a_worker_left_behind_is_reaped(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    runaway = supervisor.worker("node", "runaway")
    os.kill(supervisor.pid("node"), signal.SIGKILL)
    until(lambda: not Path(f"/proc/{runaway}").exists(), "it to be gone, and no zombie")
    units = supervisor.status()["units"]
    until(lambda: all(len(spares(supervisor, unit)) == 1 for unit in units), "each template's spare")
    assert len(strangers(supervisor)) == 2
