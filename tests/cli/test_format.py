"""What a person reads: golden texts."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from bitcoind_mp.cli.command.supervision import text_of
from bitcoind_mp.cli.format import (
    age,
    coloured,
    health_text,
    logs_text,
    plain,
    processor_time,
    size,
    status_text,
    unit_line,
    unit_text,
    wrapped,
)
from bitcoind_mp.cli.jsontext import parse

NOW = 1_795_445_014.0


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dates are printed in the local zone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def node(**changes: Any) -> dict[str, Any]:
    return {
        "name": "node",
        "state": "running",
        "pid": 4242,
        "since": NOW - 123,
        "restarts": 0,
        "health": "ok",
        "active": "active",
        "status": "synced at height 112",
        "reason": "",
        "last_exit": None,
        "last_words": [],
        "problems": [],
        "check": {"time": NOW - 3, "failures": 0, "error": "", "status": "synced at height 112", "counters": {}},
        "sandbox": {"protections": ["not dumpable", "Landlock (ABI 7)", "seccomp"], "missing": []},
        "next_start": None,
        "memory": 130_000_000,
        "cpu": 12.3456,
        "cpu_percent": 1.5,
        "open_files": 43,
        "threads": 12,
        "limits": {"memory": 1 << 32, "cpu": 0, "open_files": 0},
        "log_file": "/data/regtest/logs/node.log",
        "log_lost": 0,
        "log_error": "",
        "log": ["2026-11-23T14:43:34Z ready", "2026-11-23T14:43:35Z peer connected"],
        **changes,
    }


def test_a_unit_that_runs() -> None:
    assert unit_text(node(), NOW) == (
        "● node - chain, mempool and peers\n"
        "     Active: active (running) since Mon 2026-11-23 14:41:31 UTC; 2min 3s ago\n"
        '     Status: "synced at height 112"\n'
        "     Health: ok (checked 3s ago)\n"
        "   Main PID: 4242\n"
        "   Restarts: 0\n"
        "     Memory: 124.0M (limit: 4.0G)\n"
        "        CPU: 12.346s (1.5% of one processor)\n"
        "      Files: 43 open\n"
        "    Threads: 12\n"
        "    Sandbox: not dumpable, Landlock (ABI 7), seccomp\n"
        "        Log: /data/regtest/logs/node.log\n"
        "\n"
        "2026-11-23T14:43:34Z ready\n"
        "2026-11-23T14:43:35Z peer connected"
    )


def test_a_unit_that_failed_for_good() -> None:
    failed = node(
        state="failed",
        active="failed",
        pid=None,
        health="failed",
        status="",
        reason="exit status 78 (bad configuration)",
        restarts=0,
        last_exit={"code": 78, "signal": None, "why": "exit status 78 (bad configuration)", "time": NOW - 5},
        last_words=["Error: Invalid value in -port=x", "expected a number"],
        problems=["failed: exit status 78 (bad configuration)"],
        check={"time": None, "failures": 0, "error": "", "status": "", "counters": {}},
        sandbox=None,
        since=NOW - 5,
        memory=None,
        cpu=None,
        cpu_percent=None,
        open_files=None,
        threads=None,
        log=[],
    )
    assert unit_text(failed, NOW) == (
        "× node - chain, mempool and peers\n"
        "     Active: failed since Mon 2026-11-23 14:43:29 UTC; 5s ago\n"
        "     Health: failed\n"
        "   Problems: failed: exit status 78 (bad configuration)\n"
        "   Restarts: 0; last exit was 5s ago\n"
        "        Log: /data/regtest/logs/node.log\n"
        " Last words: Error: Invalid value in -port=x\n"
        "             expected a number"
    )


def test_each_missing_protection_has_a_line() -> None:
    lacking = {"protections": ["not dumpable"], "missing": ["the kernel does not control files", "no filter"]}
    text = unit_text(node(sandbox=lacking), NOW)
    assert (
        "    Sandbox: not dumpable\n"
        "             missing: the kernel does not control files\n"
        "             missing: no filter\n"
    ) in text
    assert "Sandbox" not in unit_text(node(sandbox=None), NOW)


def test_last_words_are_not_said_twice() -> None:
    words = ["Error: Invalid value in -port=x"]
    assert "Last words" not in unit_text(node(last_words=words, log=["ready", *words]), NOW)
    assert "Last words" in unit_text(node(last_words=words, log=[*words, "something else"]), NOW)


def test_a_unit_between_two_starts() -> None:
    waiting = node(
        state="backoff",
        active="activating",
        pid=None,
        health="failed",
        status="",
        reason="killed by SIGSEGV",
        next_start=NOW + 4,
        restarts=3,
        last_exit={"code": None, "signal": 11, "why": "killed by SIGSEGV", "time": NOW - 1},
        problems=["waiting to be started again: killed by SIGSEGV"],
        since=NOW - 1,
        log=[],
        log_file=None,
        memory=None,
        cpu=None,
        open_files=None,
        threads=None,
        check={},
    )
    assert unit_text(waiting, NOW) == (
        "● node - chain, mempool and peers\n"
        "     Active: activating (backoff) since Mon 2026-11-23 14:43:33 UTC; 1s ago; next start in 4s\n"
        "     Health: failed\n"
        "   Problems: waiting to be started again: killed by SIGSEGV\n"
        "   Restarts: 3; last exit was 1s ago"
    )


def test_a_stopped_unit_in_color() -> None:
    stopped = node(
        name="wallet", state="stopped", active="inactive", pid=None, health="ok", status="", since=NOW - 90_000, log=[]
    )
    stopped |= {"memory": None, "cpu": None, "open_files": None, "threads": None, "log_file": None}
    assert unit_text(stopped, NOW, coloured) == (
        "\x1b[2m○\x1b[0m \x1b[1mwallet\x1b[0m - keys and coins\n"
        "     Active: \x1b[2minactive (stopped)\x1b[0m since Sun 2026-11-22 13:43:34 UTC; 1 day 1h ago\n"
        "   Restarts: 0"
    )


def test_all_of_it_with_numbers_as_they_came_on_the_wire() -> None:
    status = parse(
        '{"supervisor":{"pid":99,"since":1795444000.5,"chain":"regtest","datadir":"/data","memory":30000000,"cpu":0.51,'
        '"open_files":23,"threads":1,"problems":["34 MiB free in /data, want 100"]},'
        '"units":[{"name":"node","state":"starting","active":"activating","pid":7,"since":1795445013.9,"restarts":1,'
        '"health":"degraded","problems":["starting"]},{"name":"wallet","state":"stopped","active":"inactive","pid":null,'
        '"since":null,"restarts":0,"health":"ok"}]}'
    )
    assert status_text(status, NOW) == (
        "● bitcoind-mp - supervisor\n"
        "     Active: active (running) since Mon 2026-11-23 14:26:40 UTC; 16min 53s ago\n"
        "   Main PID: 99\n"
        "      Chain: regtest, /data\n"
        "     Memory: 28.6M\n"
        "        CPU: 0.510s\n"
        "      Files: 23 open\n"
        "    Threads: 1\n"
        "   Problems: 34 MiB free in /data, want 100\n"
        "\n"
        "● node - chain, mempool and peers\n"
        "     Active: activating (starting) since Mon 2026-11-23 14:43:33 UTC; 0s ago\n"
        "     Health: degraded\n"
        "   Problems: starting\n"
        "   Main PID: 7\n"
        "   Restarts: 1\n"
        "\n"
        "○ wallet - keys and coins\n"
        "     Active: inactive (stopped)\n"
        "   Restarts: 0"
    )


def test_a_process_that_was_taken_over_is_told_apart() -> None:
    text = unit_text(node(adopted=True), NOW)
    assert "   Main PID: 4242 (adopted from an earlier supervisor: how it ends will not be known)\n" in text


def test_lines_that_were_lost_are_told() -> None:
    assert "             7 lines lost: No space left on device" in unit_text(
        node(log_lost=7, log_error="No space left on device"), NOW
    )


def test_health_says_below_its_line_how_each_unit_is_protected() -> None:
    sandbox = {"protections": ["no core files", "seccomp"], "missing": ["the kernel has no\nLandlock"]}
    units = [{"name": "node", "state": "running", "sandbox": sandbox}, {"name": "wallet", "state": "stopped"}]
    assert health_text({"state": "ok", "problems": [], "units": units}).splitlines() == [
        "OK: node running, wallet stopped",
        "node: no core files, seccomp",
        "node: missing: the kernel has no Landlock",
    ]


def test_health_is_one_line() -> None:
    units = [{"name": "node", "state": "running"}, {"name": "wallet", "state": "stopped"}]
    assert health_text({"state": "ok", "problems": [], "units": units}) == "OK: node running, wallet stopped"
    told = {"state": "failed", "problems": ["node: failed: killed by SIGKILL", "1 MiB free"], "units": units}
    assert health_text(told, coloured) == "\x1b[31mFAILED\x1b[0m: node: failed: killed by SIGKILL; 1 MiB free"


def test_what_became_of_a_unit() -> None:
    assert unit_line(node()) == "node: running (pid 4242)"
    assert unit_line(node(state="stopped", pid=None), coloured) == "node: \x1b[2mstopped\x1b[0m"


def test_logs() -> None:
    assert logs_text({"logs": [{"unit": "node", "lines": ["a", "b"]}]}) == "a\nb"
    assert logs_text({"logs": [{"unit": "node", "lines": ["a"]}, {"unit": "wallet", "lines": []}]}) == (
        "==> node <==\na\n\n==> wallet <=="
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1min"),
        (123, "2min 3s"),
        (7384, "2h 3min"),
        (90_000, "1 day 1h"),
        (172_800, "2 days"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0B"), (1023, "1023B"), (1536, "1.5K"), (130_000_000, "124.0M"), (5 << 40, "5120.0G")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.5124, "0.512s"), (123.44, "2min 3.4s"), (7384, "2h 3min")])
def test_processor_times(seconds: float, text: str) -> None:
    assert processor_time(seconds) == text


def test_what_is_laid_out_cannot_play_with_the_terminal() -> None:
    wicked = "peer \x1b]0;title\x07 \x1b[31mred\r\tend"
    tamed = "peer \ufffd]0;title\ufffd \ufffd[31mred\ufffd\tend"
    assert text_of("logs", {"logs": [{"unit": "node", "lines": [wicked]}]}, plain) == tamed
    units = {"units": [node(log=[wicked], last_words=[wicked, "x"], reason=wicked)]}
    assert "\x1b" not in text_of("status", units, plain)


def test_help_is_broken_between_words_and_hangs_below_its_text() -> None:
    line = "1. value    (string, required) " + " ".join(["word"] * 6)
    assert wrapped(line, 40).split("\n") == [
        "1. value    (string, required) word word",
        "            word word word word",
    ]
    assert wrapped("    " + "abc " * 4 + "end", 16).split("\n") == ["    abc abc abc", "      abc end"]
    assert wrapped("short\n\n  as  it is", 40) == "short\n\n  as  it is"
    example = "> curl --user myusername " + "x" * 60
    assert wrapped(example, 40) == example
    assert wrapped("a " + "x" * 50, 40).split("\n") == ["a", "  " + "x" * 50]
