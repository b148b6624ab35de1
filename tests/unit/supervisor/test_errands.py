"""Running an operator's commands: real shells, few at once, waited for, ended where they hang."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bitcoind_mp.supervisor.outward.errands import Errands, Lane

Scenario = Callable[[], Awaitable[None]]


def run(scenario: Scenario) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(bounded())


def environ(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **more}


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


async def ended(*ends: "asyncio.Future[None] | None") -> None:
    for end in ends:
        assert end is not None
        await end


def test_a_command_runs_with_its_variables_and_nothing_of_ours(tmp_path: Path) -> None:
    async def scenario() -> None:
        theirs = environ(NOTIFY_SOCKET="@ours", CREDENTIALS_DIRECTORY="/secret", LISTEN_FDS="1", KEPT="kept")
        lane = Lane("blocknotify", 1, Errands(theirs, 10))
        (tmp_path / "held").mkdir()
        held = os.open(tmp_path / "held", os.O_RDONLY)  # as any socket of ours: not inheritable
        line = f"env > {tmp_path}/env; ls -l /proc/self/fd > {tmp_path}/fd; ps -o pgid= -p $$ > {tmp_path}/group"
        await ended(lane.add(line, {"BITCOIN_MP_HASH": "ab"}))
        os.close(held)
        found = dict(text.split("=", 1) for text in (tmp_path / "env").read_text().splitlines())
        assert (found["BITCOIN_MP_HASH"], found["KEPT"]) == ("ab", "kept")
        assert not {"NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY", "LISTEN_FDS"} & found.keys()
        descriptors = (tmp_path / "fd").read_text()
        assert " 0 -> /dev/null" in descriptors
        assert f"{tmp_path}/held" not in descriptors
        assert int((tmp_path / "group").read_text()) != os.getpgid(0)
        assert (lane.run_count, lane.failures, lane.waiting) == (1, 0, 0)

    run(scenario)


def test_they_run_in_order_one_at_a_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        lane = Lane("unitnotify", 1, Errands(environ(), 10))
        await ended(*(lane.add(f"echo {n} >> {tmp_path}/order", {}) for n in range(20)))
        assert (tmp_path / "order").read_text().split() == [str(n) for n in range(20)]

    run(scenario)


def test_no_more_at_once_than_are_allowed(tmp_path: Path) -> None:
    """Each says that it is there, and how many are, before it leaves."""

    async def scenario() -> None:
        lane = Lane("walletnotify", 3, Errands(environ(), 30))
        here = tmp_path / "here"
        here.mkdir()
        line = f"touch {here}/$$; ls {here} | wc -l >> {tmp_path}/counts; rm {here}/$$"
        await ended(*(lane.add(line, {}) for _ in range(60)))
        counts = [int(text) for text in (tmp_path / "counts").read_text().split()]
        assert len(counts) == 60
        assert max(counts) <= 3

    run(scenario)


def test_a_bad_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        lane = Lane("alertnotify", 1, Errands(environ(), 10))
        await ended(lane.add("exit 3", {}), lane.add("kill -9 $$", {}), lane.add("true", {}))
        assert (lane.run_count, lane.failures) == (3, 2)

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert caplog.messages == [
        "-alertnotify: the command ended with exit status 3: exit 3",
        "-alertnotify: the command was ended by SIGKILL: kill -9 $$",
    ]


def test_an_end_by_a_signal_without_a_name_makes_way_for_the_next(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        errands = Errands(environ(), 10)
        lane = Lane("alertnotify", 1, errands)
        await ended(lane.add("kill -40 $$", {}), lane.add("true", {}))
        assert (lane.run_count, lane.failures) == (2, 1)
        assert await errands.idle(30)

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert caplog.messages == ["-alertnotify: the command was ended by signal 40: kill -40 $$"]


def test_one_that_hangs_is_killed_with_what_it_started(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        errands = Errands(environ(), 1)
        lane = Lane("blocknotify", 1, errands)
        pid_file = tmp_path / "pid"
        hanging = lane.add(f"sleep 1000 & echo $! > {pid_file}; wait", {})
        errands.patience = 30  # of those that begin from now on
        await ended(hanging, lane.add("true", {}))
        assert not is_alive(int(pid_file.read_text()))
        assert (lane.run_count, lane.failures) == (2, 1)

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert "and is killed" in caplog.messages[0]


def test_what_a_command_leaves_in_the_background_lives_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        lane = Lane("startupnotify", 1, Errands(environ(), 10))
        fifo, answers = tmp_path / "fifo", tmp_path / "answers"
        os.mkfifo(fifo)
        os.mkfifo(answers)
        await ended(lane.add(f"(read line < {fifo}; echo $line > {answers}) & exit 0", {}))
        await asyncio.get_running_loop().run_in_executor(None, fifo.write_text, "alive\n")
        assert await asyncio.get_running_loop().run_in_executor(None, answers.read_text) == "alive\n"

    run(scenario)


def test_too_many_that_wait_are_not_run_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        errands = Errands(environ(), 30)
        lane = Lane("blocknotify", 1, errands)
        ends = [lane.add("true", {}) for _ in range(1101)]
        assert [end is None for end in ends].count(True) == lane.dropped == 100
        assert lane.clear() == 1000
        assert await errands.idle(30)
        assert lane.add("true", {}) is not None
        assert await errands.idle(30)
        assert (lane.run_count, lane.waiting) == (2, 0)

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert caplog.messages == [
        "-blocknotify: more than 1000 commands wait: those that come now are not run",
        "-blocknotify: 100 commands in all were not run",
    ]


def test_where_whoever_asks_waits_none_is_lost() -> None:
    """A hundred wallets tell of twenty transactions each at once."""

    async def scenario() -> None:
        errands = Errands(environ(), 30)
        lane = Lane("walletnotify", 4, errands, loses=False)
        assert None not in [lane.add("true", {}) for _ in range(2000)]
        assert (lane.waiting, lane.dropped) == (1996, 0)
        assert lane.clear() == 1996
        assert await errands.idle(30)

    run(scenario)


def test_idle_is_when_none_waits_either(tmp_path: Path) -> None:
    async def scenario() -> None:
        errands = Errands(environ(), 10)
        lane = Lane("unitnotify", 1, errands)
        for _ in range(10):
            lane.add(f"echo x >> {tmp_path}/count", {})
        assert await errands.idle(30)
        assert (tmp_path / "count").read_text() == "x\n" * 10

    run(scenario)


def test_what_cannot_be_run_is_said_and_the_next_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        lane = Lane("unitnotify", 1, Errands(environ(), 10))
        await ended(*(lane.add("true", {"NAME": "a\0b"}) for _ in range(1000)), lane.add("true", {}))
        assert (lane.run_count, lane.failures) == (1001, 1000)

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert caplog.messages[0] == "-unitnotify: the command could not be run: embedded null byte"


def test_at_the_end_what_runs_has_its_time_and_is_then_killed() -> None:
    async def scenario() -> None:
        errands = Errands(environ(), 0)
        lane = Lane("unitnotify", 1, errands)
        quick = lane.add("true", {})
        assert await errands.idle(30)
        assert quick is not None and quick.done()
        lane.add("sleep 1000", {})
        assert not await errands.idle(0)
        await errands.kill()
        assert (lane.failures, await errands.idle(0)) == (1, True)

    run(scenario)
