"""Health checks over the workers' own sockets, and the limits of the configuration."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError


def test_the_loop_that_serves_callers_is_what_answers(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start("-healthinterval=0.1")
    check = until(lambda: supervisor.unit("node")["check"] if supervisor.unit("node")["check"]["status"] else None)
    assert check["status"] == "node is fine"
    assert check["counters"] == {"open_files": 7}
    found = supervisor.ask("health")
    assert (found["state"], found["exit"], found["problems"]) == ("ok", 0, [])
    assert [unit["health"] for unit in found["units"]] == ["ok", "ok"]


def test_a_worker_that_does_not_answer_fails_and_recovers(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start("-healthinterval=0.1", "-healthtimeout=0.1", "-watchdog=0", "-stoptimeout=0.5")
    pid = supervisor.pid("node")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(supervisor.socket("node"))
        connection.sendall(b'{"jsonrpc":"2.0","method":"hang","id":1}\n')
        until(lambda: supervisor.unit("node")["health"] == "failed")
        found = supervisor.unit("node")
        assert found["problems"][0].startswith("health check: no answer within 0.1 s")
        assert (found["state"], found["pid"]) == ("running", pid), "reported, not killed"
        whole = supervisor.ask("health")
        assert (whole["state"], whole["exit"]) == ("failed", 2)
    supervisor.ask("restart", "node")
    until(lambda: supervisor.unit("node")["health"] == "ok")


def test_what_a_worker_complains_of_is_passed_on(supervisor: Any) -> None:
    supervisor.start()
    supervisor.worker("wallet", "problems", "alice is locked out", "bob too")
    found = supervisor.ask("health")
    assert (found["state"], found["exit"]) == ("degraded", 1)
    assert found["problems"] == ["wallet: alice is locked out", "wallet: bob too"]
    supervisor.worker("wallet", "problems")
    assert supervisor.ask("health")["exit"] == 0


def test_a_worker_that_talks_too_much_is_not_listened_to(supervisor: Any) -> None:
    supervisor.start()
    supervisor.worker("wallet", "problems", "x" * 2_000_000)
    found = supervisor.ask("health")
    assert found["problems"] == ["wallet: health check: A message longer than this side takes"]
    supervisor.worker("wallet", "problems")
    assert supervisor.ask("health")["exit"] == 0


def test_limits_of_the_configuration(supervisor: Any) -> None:
    supervisor.start("-maxrss=node:1", "-maxfiles=wallet:2", "-mindiskfree=999999999")
    found = supervisor.ask("health")
    assert found["state"] == "degraded"
    assert any("node: holds" in problem and "MiB of memory, limit 1" in problem for problem in found["problems"])
    assert any("wallet: holds" in problem and "open files, limit 2" in problem for problem in found["problems"])
    assert any("MiB free in" in problem for problem in found["problems"])


def test_a_unit_that_is_down_is_a_failure_and_one_stopped_by_hand_is_noted(supervisor: Any) -> None:
    supervisor.start()
    supervisor.ask("stop", "wallet")
    found = supervisor.ask("health")
    assert (found["state"], found["exit"], found["problems"]) == ("ok", 0, [])
    assert [(each["name"], each["state"]) for each in found["units"]] == [("node", "running"), ("wallet", "stopped")]
    supervisor.plan("wallet", exit=78)
    supervisor.ask("restart", "node")
    with pytest.raises(RpcError, match="wallet did not start"):
        supervisor.ask("start", "wallet")
    found = supervisor.ask("health")
    assert (found["state"], found["exit"]) == ("failed", 2)


def test_status_tells_what_psutil_sees(supervisor: Any) -> None:
    supervisor.start()
    for found in (supervisor.unit("node"), supervisor.status()["supervisor"]):
        assert 1 << 20 < found["memory"] < 1 << 30
        assert found["open_files"] >= 5
        assert found["threads"] >= 1
        assert found["cpu"] >= 0
