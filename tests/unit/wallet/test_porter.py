"""The process that carries backups: what it carries, and what it doesn't whoever asks."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitcoind_mp.wallet.ledger import Ledger, is_wallet_file
from bitcoind_mp.wallet.porter import Porter, work

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


def test_it_writes_over_nothing_that_is_no_wallet(ledger: Ledger, porter: Porter, tmp_path: Path) -> None:
    target = tmp_path / "diary"
    target.write_text("dear diary")
    with pytest.raises(FileExistsError, match="no wallet file"):
        asyncio.run(porter.back_up(ledger, target))
    assert target.read_text() == "dear diary"


@pytest.mark.parametrize("place", ["data/blocks/x", ".ssh/authorized_keys", ".profile"])
def test_it_writes_nothing_where_others_obey(ledger: Ledger, porter: Porter, tmp_path: Path, place: str) -> None:
    target = tmp_path / place
    target.parent.mkdir(exist_ok=True)
    with pytest.raises(PermissionError, match="Backups are not written"):
        asyncio.run(porter.back_up(ledger, target))
    assert not target.exists()


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
from bitcoind_mp.wallet.ledger import Ledger, is_wallet_file
from bitcoind_mp.wallet.porter import hire
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
