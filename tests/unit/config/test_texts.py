"""A worker that was handed what the configuration files said has just the options that it would have read, whatever
they say by now; and it is noticed that they changed."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bitcoind_mp.config import Config, load
from bitcoind_mp.config.option import NODE, SUPERVISOR, WALLET
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError

Hand = Callable[[str], dict[str, str]]

MAIN = """\
keypool=1
keypool=2
wallet=first
includeconf=more.conf
debug=net
txindex=1
[regtest]
keypool=3
wallet=second
includeconf=net.conf
port=1111
[signet]
keypool=4
"""
MORE = "keypool=5\nwallet=third\nmaxmempool=77\n[regtest]\nmaxmempool=78\nport=2222\nincludeconf=ignored.conf\n"
NET = "wallet=fourth\nnowallet=1\nwallet=fifth\nregtest.debug=mempool\nnotxindex=1\n"


@pytest.fixture
def hand() -> Iterator[Hand]:
    """``hand(text)``: the environment of a process that was handed it."""
    made: list[int] = []

    def hand(text: str) -> dict[str, str]:
        made.append(os.memfd_create("test"))
        os.write(made[-1], text.encode())
        names = ["other"] * (made[-1] - 3) + ["configuration"]
        return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}

    yield hand
    for descriptor in made:
        os.close(descriptor)


def values(config: Config) -> dict[str, object]:
    return {
        "chain": config.chain,
        "file": config.config_file,
        "datadir": config.datadir,
        "warnings": config.warnings,
        **{name: config.get_int(name) for name in ("keypool", "maxmempool", "port")},
        "txindex": config.get_bool("txindex"),
        **{name: config.get_list(name) for name in ("wallet", "debug")},
    }


@pytest.mark.parametrize("options", [("-regtest",), ("-signet", "-keypool=9"), ("-regtest", "-noincludeconf"), ()])
def test_a_worker_has_the_options_that_it_would_have_read(datadir: Path, hand: Hand, options: tuple[str, ...]) -> None:
    for name, text in (("bitcoin.conf", MAIN), ("more.conf", MORE), ("net.conf", NET)):
        (datadir / name).write_text(text)
    supervisor = load([f"-datadir={datadir}", *options], SUPERVISOR)
    arguments = supervisor.worker_arguments("wallet")
    read = load(arguments, WALLET, environ={})
    assert values(read) == values(supervisor)
    for name in ("bitcoin.conf", "more.conf", "net.conf"):
        (datadir / name).write_text("keypool=1000\nwallet=other\nnonsense=1\n")
    environ = hand(supervisor.texts.to_hand_over())
    assert values(load(arguments, WALLET, environ=environ)) == values(read)
    for name in ("bitcoin.conf", "more.conf", "net.conf"):
        (datadir / name).unlink()
    for _ in range(2):  # the next process of the unit is handed the same
        assert values(load(arguments, WALLET, environ=environ)) == values(read)
    with pytest.raises(FatalError, match="could not be opened"):
        load(arguments, WALLET, environ={})


def test_a_file_that_was_not_there_is_not_read_when_it_comes(loaded, datadir: Path, hand: Hand) -> None:
    supervisor = loaded("-regtest")
    (datadir / "bitcoin.conf").write_text("nonsense=1\n")
    arguments = supervisor.worker_arguments("node")
    assert load(arguments, NODE, environ=hand(supervisor.texts.to_hand_over())).get_int("keypool") == 1000
    with pytest.raises(FatalError, match="nonsense"):
        load(arguments, NODE, environ={})


def test_what_an_included_file_s_name_is_relative_to_doesn_t_change_under_a_supervisor(
    tmp_path: Path, hand: Hand
) -> None:
    """The file may move the data directory, and the worker is told by an option where it is."""
    home, elsewhere = tmp_path / ".bitcoind-mp", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / "bitcoin.conf").write_text(f"datadir={elsewhere}\nincludeconf=more.conf\n")
    (home / "more.conf").write_text("keypool=7\n")
    environ = {"HOME": str(tmp_path)}
    supervisor = load(["-regtest"], SUPERVISOR, environ=environ)
    assert (supervisor.datadir, supervisor.get_int("keypool")) == (elsewhere, 7)
    arguments = supervisor.worker_arguments("wallet")
    worker = load(arguments, WALLET, environ={**environ, **hand(supervisor.texts.to_hand_over())})
    assert (worker.datadir, worker.get_int("keypool")) == (elsewhere, 7)


def test_a_refusal_names_the_file_that_a_person_wrote(loaded, datadir: Path, hand: Hand) -> None:
    """(Which only another version of the program hands over.)"""
    supervisor = loaded("-regtest", conf="keypool=3\n")
    handed = supervisor.texts.to_hand_over().replace("keypool=3", "nonsense=1")
    with pytest.raises(FatalError, match=f"{datadir}/bitcoin.conf line 1: nonsense=1"):
        load(supervisor.worker_arguments("wallet"), WALLET, environ=hand(handed))


def test_what_was_meant_for_another_process_or_program_is_not_taken(loaded, hand: Hand, datadir: Path) -> None:
    environ = hand("{}")
    (datadir / "bitcoin.conf").write_text("keypool=3\n")
    arguments = [f"-datadir={datadir}", "-regtest"]
    assert load(arguments, WALLET, environ={**environ, "LISTEN_PID": "1"}).get_int("keypool") == 3
    assert load(arguments, SUPERVISOR, environ=environ).get_int("keypool") == 3
    assert load(arguments, WALLET, environ=environ).get_int("keypool") == 1000


@pytest.mark.parametrize("text", ["", "[1]", '{"a"'])
def test_what_can_t_be_understood_is_refused(datadir: Path, hand: Hand, text: str) -> None:
    with pytest.raises(FatalError, match="handed over could not be read") as refused:
        load([f"-datadir={datadir}"], WALLET, environ=hand(text))
    assert refused.value.status is ExitStatus.CONFIG


def test_a_change_of_any_file_is_noticed(loaded, datadir: Path) -> None:
    more = datadir / "more.conf"

    def changed(conf: str | None, change: Callable[[], object]) -> bool:
        more.write_text("keypool=3\n")
        texts = loaded("-regtest", conf=conf).texts
        assert texts.is_current()
        change()
        return not texts.is_current()

    conf = datadir / "bitcoin.conf"
    assert changed(None, lambda: conf.write_text("keypool=1\n")), "one that wasn't there"
    included = "includeconf=more.conf\n"
    assert changed(included, lambda: conf.write_text("keypool=1234567\n"))
    assert changed(included, lambda: more.write_text("keypool=1234567\n"))
    assert changed(included, more.unlink)
    assert changed(included, lambda: more.chmod(0o400))
    assert changed(included, lambda: (datadir / "new").write_text(included) and (datadir / "new").rename(conf))
    assert not changed(included, lambda: (datadir / "other.conf").write_text("x"))


def test_what_a_pipe_said_stays_so(datadir: Path) -> None:
    """As of a shell's ``-conf=<(command)``."""
    reading, writing = os.pipe()
    os.write(writing, b"keypool=7\n")
    os.close(writing)
    try:
        config = load([f"-datadir={datadir}", f"-conf=/dev/fd/{reading}"], SUPERVISOR)
    finally:
        os.close(reading)
    assert config.get_int("keypool") == 7
    assert config.texts.is_current()
    assert "keypool=7" in config.texts.to_hand_over()
