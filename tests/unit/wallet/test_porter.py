"""The process that carries backups: what it carries, and what it doesn't whoever asks."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bitcoind_mp.wallet.storage.carrier import Carrier, Direct
from bitcoind_mp.wallet.storage.ledger import APPLICATION_ID, Ledger, is_wallet_file
from bitcoind_mp.wallet.storage.overwriting import require_lasting
from bitcoind_mp.wallet.storage.porter import Porter, work

CHAIN, GENESIS = "regtest", "00"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    path = tmp_path / "data" / "wallets" / "w" / "wallet.sqlite"
    path.parent.mkdir(parents=True)
    Ledger.create(path, CHAIN, GENESIS, lambda ledger: ledger.set_fact("name", "w"))
    opened = Ledger.open(path, CHAIN, GENESIS)
    yield opened
    opened.close()


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[socket.socket]:
    """To one that works in a thread here, with ``data/blocks`` closed to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    (tmp_path / "data" / "blocks").mkdir(parents=True)
    working = threading.Thread(target=work, args=(theirs, [tmp_path / "data" / "blocks"]))
    working.start()
    yield ours
    ours.close()
    working.join(30)
    assert not working.is_alive()
    theirs.close()


@pytest.fixture
def porter(channel: socket.socket) -> Porter:
    return Porter(channel)


def test_a_backup_is_a_wallet_and_can_be_fetched(ledger: Ledger, porter: Porter, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    asyncio.run(porter.back_up(ledger, target))
    assert is_wallet_file(target)
    assert target.stat().st_mode & 0o777 == 0o600
    porter.fetch(target, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == target.read_bytes()
    assert [path.name for path in ledger.path.parent.iterdir() if "partial" in path.name] == []


def test_it_writes_over_an_earlier_backup_and_an_empty_file(ledger: Ledger, porter: Porter, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    target.touch()
    asyncio.run(porter.back_up(ledger, target))
    asyncio.run(porter.back_up(ledger, target))
    assert is_wallet_file(target)


@pytest.fixture(params=["porter", "direct"])
def carrier(request: pytest.FixtureRequest) -> Carrier:
    return request.getfixturevalue("porter") if request.param == "porter" else Direct()


def test_it_writes_over_nothing_that_is_no_wallet(ledger: Ledger, carrier: Carrier, tmp_path: Path) -> None:
    target = tmp_path / "diary"
    target.write_text("dear diary")
    with pytest.raises(FileExistsError, match="no wallet file"):
        asyncio.run(carrier.back_up(ledger, target))
    assert target.read_text() == "dear diary"


KEY = "INSERT INTO secrets VALUES (?, x'00', 0)"
DESCRIPTOR = (
    "INSERT INTO descriptors (text, normalized, created, range_start, range_end, next_index) VALUES (?,?,0,0,0,0)"
)
SIGNER = "INSERT INTO facts VALUES ('signer_keyset', ?)"


def other_wallet(path: Path, *statements: tuple[str, tuple[str, ...]]) -> None:
    Ledger.create(path, CHAIN, GENESIS, lambda ledger: [ledger.execute(*each) for each in statements] and None)


@pytest.mark.parametrize("held", [(KEY, ("xpub2",)), (DESCRIPTOR, ("tr(2)", "tr(2)")), (SIGNER, ("two",))])
def test_what_another_wallet_alone_has_is_not_lost(
    ledger: Ledger, carrier: Carrier, tmp_path: Path, held: tuple[str, tuple[str, ...]]
) -> None:
    with ledger.transaction():
        for statement, values in ((KEY, ("xpub1",)), (DESCRIPTOR, ("tr(1)", "tr(1)")), (SIGNER, ("one",))):
            ledger.execute(statement, values)
    target = tmp_path / "backup"
    other_wallet(target, held)
    before = target.read_bytes()
    with pytest.raises(FileExistsError, match="keys or descriptors that this wallet has not"):
        asyncio.run(carrier.back_up(ledger, target))
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["backup"]
    assert [path.name for path in ledger.path.parent.iterdir() if "partial" in path.name] == []


def test_a_newer_backup_of_the_same_wallet_takes_an_older_ones_place(
    ledger: Ledger, carrier: Carrier, tmp_path: Path
) -> None:
    target = tmp_path / "back up"
    for number in "12":
        with ledger.transaction():
            ledger.execute(KEY, (f"xpub{number}",))
            ledger.execute(DESCRIPTOR, (f"tr({number})", f"tr({number})"))
        asyncio.run(carrier.back_up(ledger, target))
    copy = Ledger.open(target, CHAIN, GENESIS)
    assert copy.execute("SELECT count(*) FROM secrets").fetchone() == (2,)
    copy.close()


def test_a_wallet_that_cant_be_read_or_is_in_use_stays(ledger: Ledger, carrier: Carrier, tmp_path: Path) -> None:
    broken, used = tmp_path / "broken", tmp_path / "used"
    other_wallet(broken)
    broken.write_bytes(broken.read_bytes()[:100] + b"\xff" * 5000)
    with pytest.raises(FileExistsError, match="can't be read"):
        asyncio.run(carrier.back_up(ledger, broken))
    other_wallet(used)
    user = Ledger.open(used, CHAIN, GENESIS)
    with user.transaction():
        user.execute(KEY, ("xpub3",))  # in the write-ahead log, not in the file
    with pytest.raises(FileExistsError, match="in use"):
        asyncio.run(carrier.back_up(ledger, used))
    assert user.execute("SELECT public FROM secrets").fetchall() == [("xpub3",)]
    user.close()


@pytest.mark.parametrize(
    "place",
    [
        *("data/blocks/x", ".ssh/authorized_keys", ".profile"),
        *("data/bitcoin.conf", "lib/x.pth", "lib/sitecustomize.py", "units/x.service", "data/UPPER.CONF"),
        str(Path(os.__file__).parent / "backup"),
        str(Path(sys.prefix) / "backup"),
    ],
)
def test_it_writes_nothing_where_others_obey(ledger: Ledger, porter: Porter, tmp_path: Path, place: str) -> None:
    target = tmp_path / place
    target.parent.mkdir(exist_ok=True)
    with pytest.raises(PermissionError, match="Backups are not written"):
        asyncio.run(porter.back_up(ledger, target))
    assert not target.exists()


def test_it_makes_no_wallet_of_a_file_beside_one(ledger: Ledger, tmp_path: Path) -> None:
    """Which another program would take for part of that wallet, or for a list of ours."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wallets = tmp_path / "data" / "wallets"
    working = threading.Thread(target=work, args=(theirs, [], wallets))
    working.start()
    (wallets / "bob").mkdir()
    for place in ("bob/wallet.sqlite", "bob/wallet.sqlite-wal", "bob/unlocked.json", "loaded.json"):
        with pytest.raises(PermissionError):
            asyncio.run(Porter(ours).back_up(ledger, wallets / place))
        assert not (wallets / place).exists()
    ours.close()
    working.join(30)
    theirs.close()


def test_it_removes_nothing_on_its_way_that_is_no_wallet(ledger: Ledger, porter: Porter, tmp_path: Path) -> None:
    download = tmp_path / "film.partial"
    download.write_text("half of it")
    with pytest.raises(FileExistsError, match="no wallet file"):
        asyncio.run(porter.back_up(ledger, tmp_path / "film"))
    assert download.read_text() == "half of it"


def test_a_link_leads_it_nowhere_else(ledger: Ledger, porter: Porter, tmp_path: Path) -> None:
    (tmp_path / "innocent").symlink_to(tmp_path / "data" / "blocks")
    with pytest.raises(PermissionError):
        asyncio.run(porter.back_up(ledger, tmp_path / "innocent" / "x"))


def test_a_directory_that_isnt_there_is_named(ledger: Ledger, porter: Porter, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        asyncio.run(porter.back_up(ledger, tmp_path / "nowhere" / "x"))


def test_it_takes_nothing_that_is_no_wallet(channel: socket.socket, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    descriptor = os.open(program, os.O_RDONLY)
    request = json.dumps({"put": str(tmp_path / "placed")}).encode()
    socket.send_fds(channel, [request], [descriptor])
    os.close(descriptor)
    assert json.loads(channel.recv(4096))["error"] == "That is no wallet file"
    assert not (tmp_path / "placed").exists()


def test_it_writes_no_file_that_is_none_by_the_time_that_it_is_copied(
    ledger: Ledger, channel: socket.socket, tmp_path: Path
) -> None:
    """Whoever asks holds the file too, and changes it meanwhile."""
    path = tmp_path / "changing"
    path.write_bytes(ledger.path.read_bytes())
    header = path.read_bytes()[:100]
    changing = os.fork()
    if changing == 0:
        with path.open("r+b", buffering=0) as file:
            while os.getppid() != 1:
                os.pwrite(file.fileno(), b"all:\n\techo mine\n", 0)
                os.pwrite(file.fileno(), header, 0)
        os._exit(0)
    try:
        descriptor = os.open(path, os.O_RDONLY)
        carried = 0
        for number in range(2000):
            placed = tmp_path / f"placed {number}"
            socket.send_fds(channel, [json.dumps({"put": str(placed)}).encode()], [descriptor])
            answer = json.loads(channel.recv(4096))
            assert placed.exists() is not ("error" in answer)
            if placed.exists():
                carried += 1
                assert is_wallet_file(placed)
        os.close(descriptor)
        assert 0 < carried < 2000
        assert not list(tmp_path.glob("*.partial"))
    finally:
        os.kill(changing, signal.SIGKILL)
        os.waitpid(changing, 0)


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x || 'x' AS text FROM c"
HUGE = "CREATE TABLE descriptors (number, text AS (hex(zeroblob(1 << {}))))"
MANY = "INSERT INTO descriptors SELECT value FROM json_each('[" + ",".join(map(str, range(200))) + "]')"


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ([f"CREATE VIEW descriptors AS {ENDLESS}"], "it has not the tables of a wallet"),
        (["CREATE VIRTUAL TABLE descriptors USING fts5(text)"], "it has not the tables of a wallet"),
        ([HUGE.format(27), MANY], "string or blob too big"),
        ([HUGE.format(19), MANY], "it has more in it than a wallet"),
    ],
)
def test_what_is_to_be_written_over_holds_nobody_up(
    ledger: Ledger, carrier: Carrier, tmp_path: Path, made: list[str], why: str
) -> None:
    """Whoever made it may have been broken into: it has no end, or one that nobody lives to see."""
    target = tmp_path / "endless"
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        tables = ["CREATE TABLE secrets (public)", "CREATE TABLE facts (name, value)"]
        for statement in (f"PRAGMA application_id = {APPLICATION_ID}", *made, *tables):
            connection.execute(statement)
    with pytest.raises(FileExistsError, match=why):
        asyncio.run(carrier.back_up(ledger, target))
    assert [path.name for path in ledger.path.parent.iterdir() if "partial" in path.name] == []


def test_it_hands_over_nothing_that_is_no_wallet(channel: socket.socket, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    channel.send(json.dumps({"get": str(secret)}).encode())
    data, descriptors, _, _ = socket.recv_fds(channel, 4096, 1)
    assert json.loads(data) == {}
    assert descriptors == []


ALONE = """
import asyncio, os, sys
from pathlib import Path
from bitcoind_mp.wallet.storage.ledger import Ledger, is_wallet_file
from bitcoind_mp.wallet.storage.porter import hire
ledger = Ledger.open(Path(sys.argv[1]), "regtest", "00")
reading, writing = os.pipe()
porter = hire([], lambda: None)
os.close(writing)
assert os.read(reading, 1) == b"", "the pipe's other end is held by somebody"
asyncio.run(porter.back_up(ledger, Path(sys.argv[2])))
assert is_wallet_file(Path(sys.argv[2]))
del porter
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
"""


def test_a_process_of_its_own_holds_nothing_and_ends_with_the_other(ledger: Ledger, tmp_path: Path) -> None:
    ledger.close()
    words = [sys.executable, "-c", ALONE, str(ledger.path), str(tmp_path / "backup")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_no_backup_goes_where_it_ends_with_the_service(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "212 158 0:40 / / ro,nosuid shared:33 - overlay overlay rw\n"
        "253 212 0:43 /systemd-private-092aa750-bitcoind-mp.service-SUtksl/tmp /tmp rw shared:35 - tmpfs tmpfs rw\n"
        "254 212 0:40 /var/lib/bitcoind-mp /var/lib/bitcoind-mp rw shared:80 - overlay overlay rw\n"
    )
    for place in ("/tmp", "/tmp/deep/in"):
        with pytest.raises(OSError, match="/tmp is this service"):
            require_lasting(Path(place), mounts)
    for place in ("/var/lib/bitcoind-mp", "/tmpfiles", "/"):
        require_lasting(Path(place), mounts)
