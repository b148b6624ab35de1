"""A data directory with a configuration file, and loading from it as a program would."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bitcoind_mp.config import Config, load

Load = Callable[..., Config]


@pytest.fixture
def datadir(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


@pytest.fixture
def loaded(datadir: Path) -> Load:
    """``loaded(*arguments, conf=text, program=…)``: the configuration with that bitcoin.conf in the data directory."""

    def from_text(*arguments: str, conf: str | None = None, program: str = "bitcoind-mp") -> Config:
        if conf is not None:
            (datadir / "bitcoin.conf").write_text(conf)
        return load([f"-datadir={datadir}", *arguments], program, environ={"HOME": str(datadir.parent)})

    return from_text
