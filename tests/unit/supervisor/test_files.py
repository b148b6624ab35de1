"""Configuration files that can't be used any more are told of, once, until they can be again."""

import asyncio
import logging
import os
from pathlib import Path

import pytest

from bitcoind_mp.config import Config, load
from bitcoind_mp.config.option import SUPERVISOR
from bitcoind_mp.interfaces.errors import FatalError
from bitcoind_mp.interfaces.journal import Event, event_of
from bitcoind_mp.supervisor import plan
from bitcoind_mp.supervisor.checks.files import ConfigurationFiles, Trial
from bitcoind_mp.supervisor.processes.asking import Questions


class Reading:
    """Reads the files, and counts how often."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.times = 0

    def __call__(self) -> Config:
        self.times += 1
        return load([f"-datadir={self.directory}", "-regtest"], SUPERVISOR)


def test_from_bad_to_good(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(from_bad_to_good(tmp_path, caplog))


async def from_bad_to_good(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    conf, more = tmp_path / "bitcoin.conf", tmp_path / "more.conf"
    conf.write_text("keypool=1\n")
    reread = Reading(tmp_path)
    used = reread()
    files = ConfigurationFiles(used, reread, Trial(lambda config: [], Questions({}), used))

    async def problems() -> list[str]:
        await files.look()
        return files.problems

    with caplog.at_level(logging.INFO, logger="bitcoind_mp.supervisor"):
        assert await problems() == await problems() == []
        assert reread.times == 1, "nothing is read that hasn't changed"
        conf.write_text("keypool=22\n")
        assert await problems() == await problems() == []
        assert reread.times == 2, "a change that isn't in use yet is no problem, and read once"
        assert not caplog.records
        conf.write_text("includeconf=more.conf\nmaxmempool=banana\n")
        (problem,) = await problems()
        assert problem.startswith(f"bitcoin.conf can't be used: Invalid value in {conf} line 2: maxmempool=banana: ")
        assert "expected a number; everything runs on with what it said when it was read last" in problem
        conf.write_text("includeconf=more.conf\nmaxmempool=7\n")
        assert ["more.conf could not be opened" in text for text in await problems()] == [True]
        more.write_text("keypool=7\n")
        assert await problems() == []
        more.write_text("nonsense=1\n")
        assert len(await problems()) == len(await problems()) == 1
        more.write_text("keypool=7\n")
        assert await problems() == []
    told = [Event(event_of(record)[0]).name for record in caplog.records]
    assert told == ["ALERT_RAISED", "ALERT_OVER"] * 2


class CountedQuestions(Questions):
    """Counts the programs that were asked."""

    times = 0

    async def ask(self, *args, **kwargs):
        self.times += 1
        return await super().ask(*args, **kwargs)


def test_the_units_programs_are_asked_once_about_what_they_have_not_seen(tmp_path: Path) -> None:
    async def life() -> None:
        reread = Reading(tmp_path)
        questions = CountedQuestions(os.environ)
        trial = Trial(plan.units, questions, used := reread())
        await trial.run(used)
        await trial.run(reread())
        assert questions.times == 0, "the units have it already"
        (tmp_path / "bitcoin.conf").write_text("maxmempool=1\n")
        for _ in range(2):
            with pytest.raises(FatalError, match=r"^-maxmempool must be at least 5 MB$"):
                await trial.run(reread())
        assert questions.times == 4
        (tmp_path / "bitcoin.conf").write_text("signerprocess=1\nmaxmempool=7\n")
        await trial.run(reread())
        await trial.run(reread())
        assert questions.times == 7

    asyncio.run(life())


def test_a_program_that_does_not_answer_is_no_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plans(*check: str):
        return lambda config: [plan.Plan("node", ("false",), plan.units(config)[0].policy, check=check)]

    async def life() -> None:
        monkeypatch.setattr("bitcoind_mp.supervisor.processes.asking.PATIENCE", 0.1)
        reread = Reading(tmp_path)
        used = reread()
        (tmp_path / "bitcoin.conf").write_text("maxmempool=7\n")
        questions = Questions(os.environ)
        for check, why in (
            (("sleep", "1000"), "the node's program did not say within"),
            (("sh", "-c", "echo Error: what is wrong; kill -9 $$"), "^what is wrong$"),
            (("false",), "^it said nothing$"),
            (("/no/such/program",), "not found"),
        ):
            with pytest.raises(FatalError, match=why):
                await Trial(plans(*check), questions, used).run(reread())
        assert not any(map(questions.owns, range(1, 1 << 15)))

    asyncio.run(life())
