"""Configuration files that can't be used any more are told of, once, until they can be again."""

import logging
from pathlib import Path

import pytest

from bitcoind_mp.config import Config, load
from bitcoind_mp.config.option import SUPERVISOR
from bitcoind_mp.interfaces.journal import Event, event_of
from bitcoind_mp.supervisor.checks.files import ConfigurationFiles


class Reading:
    """Reads the files, and counts how often."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.times = 0

    def __call__(self) -> Config:
        self.times += 1
        return load([f"-datadir={self.directory}", "-regtest"], SUPERVISOR)


def test_from_bad_to_good(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    conf, more = tmp_path / "bitcoin.conf", tmp_path / "more.conf"
    conf.write_text("keypool=1\n")
    reread = Reading(tmp_path)
    files = ConfigurationFiles(reread(), reread)
    with caplog.at_level(logging.INFO, logger="bitcoind_mp.supervisor"):
        assert files.problems() == files.problems() == []
        assert reread.times == 1, "nothing is read that hasn't changed"
        conf.write_text("keypool=22\n")
        assert files.problems() == files.problems() == []
        assert reread.times == 2, "a change that isn't in use yet is no problem, and read once"
        assert not caplog.records
        conf.write_text("includeconf=more.conf\nmaxmempool=banana\n")
        (problem,) = files.problems()
        assert problem.startswith(f"bitcoin.conf can't be used: Invalid value in {conf} line 2: maxmempool=banana: ")
        assert "expected a number; everything runs on with what it said when it was read last" in problem
        conf.write_text("includeconf=more.conf\nmaxmempool=7\n")
        assert ["more.conf could not be opened" in text for text in files.problems()] == [True]
        more.write_text("keypool=7\n")
        assert files.problems() == []
        more.write_text("nonsense=1\n")
        assert len(files.problems()) == len(files.problems()) == 1
        more.write_text("keypool=7\n")
        assert files.problems() == []
    told = [Event(event_of(record)[0]).name for record in caplog.records]
    assert told == ["ALERT_RAISED", "ALERT_OVER"] * 2
