"""A file system that runs full under the node: the error says so, and nothing that was accepted is lost."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitcoind_mp.interfaces.errors import RpcError

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
DISK_FULL = 74


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"may not mount a file system: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def node_there(node, small_disk: Path):
    node.datadir = small_disk / "data"
    node.datadir.mkdir()
    node.network = node.datadir / "regtest"
    node.socket = node.network / "run" / "node.sock"
    yield node
    node.close()


def fill(place: Path, leave: int) -> Path:
    """A file that takes all but ``leave`` bytes."""
    disk = os.statvfs(place)
    path = place / "filler"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(disk.f_bavail * disk.f_frsize - leave, 1))
    return path


def test_blocks_are_refused_before_the_kernel_runs_out_of_room(node_there, small_disk: Path) -> None:
    node = node_there.start()
    node.call("generatetoaddress", 5, ADDRESS)
    filler = fill(small_disk, 20 << 20)
    for _ in range(3):
        with pytest.raises(RpcError, match=r"(?i)space"):
            node.call("generatetoaddress", 1, ADDRESS)
    assert node.call("getblockcount") == 5
    filler.unlink()
    node.call("generatetoaddress", 1, ADDRESS)
    assert node.call("getblockcount") == 6
    assert node.stop() == 0


def test_a_disk_that_is_full_when_the_kernel_must_write_costs_no_block(node_there, small_disk: Path) -> None:
    node = node_there.start()
    node.call("generatetoaddress", 150, ADDRESS)
    best = node.call("getbestblockhash")
    filler = fill(small_disk, 0)
    assert node.stop() in (0, DISK_FULL)
    filler.unlink()
    node.start()
    assert node.call("getbestblockhash") == best
    assert node.call("gettxoutsetinfo")["txouts"] == 150
    assert node.stop() == 0
    node.start()
    assert node.call("getbestblockhash") == best


def test_a_start_without_room_says_so_and_succeeds_once_there_is(node_there, small_disk: Path) -> None:
    node = node_there.start()
    node.call("generatetoaddress", 10, ADDRESS)
    node.kill()
    filler = fill(small_disk, 0)
    status = node.spawn().process.wait(30)
    assert status == DISK_FULL
    assert "oom" in node.output or "space" in node.output
    filler.unlink()
    node.start()
    assert node.call("getblockcount") == 10
