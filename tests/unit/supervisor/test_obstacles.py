"""Looking whether what is in the way still is: disks, locks of either kind, ports; and what is not looked at."""

import fcntl
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_disk import SmallDisk

from bitcoind_mp.interfaces.obstacle import Obstacle
from bitcoind_mp.supervisor.processes.obstacles import is_in_the_way


@pytest.mark.parametrize(("kind", "what", "amount"), [("disk", "/a b", 7), ("lock", "/x", 0), ("port", "::", 8333)])
def test_what_is_told_is_what_is_heard(kind: str, what: str, amount: int) -> None:
    obstacle = Obstacle(kind, what, amount)
    assert Obstacle.parse(str(obstacle)) == obstacle


@pytest.mark.parametrize("text", ["", "disk", "disk 5", "disk 5 ", "disk -5 /", "disk x /", "moon 5 /", "port 9" * 99])
def test_what_makes_no_sense_is_nothing(text: str) -> None:
    assert Obstacle.parse(text) is None


def test_a_disk(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    assert is_in_the_way(Obstacle("disk", str(tmp_path), 1 << 60), [tmp_path])
    assert not is_in_the_way(Obstacle("disk", str(tmp_path), free // 2), [tmp_path])
    assert not is_in_the_way(Obstacle("disk", str(tmp_path / "gone"), 1 << 60), [tmp_path])


def test_a_disk_without_room_for_one_more_file(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk", "1m,nr_inodes=200")
    try:
        assert not is_in_the_way(Obstacle("disk", str(disk.place), 4096), [tmp_path])
        while os.statvfs(disk.place).f_favail:
            (disk.place / str(os.statvfs(disk.place).f_favail)).touch()
        assert is_in_the_way(Obstacle("disk", str(disk.place), 4096), [tmp_path])
    finally:
        disk.unmount()


def flock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def by_another(file: Path, hold: Callable[[int], None]) -> int:
    """A child that holds the lock until it is killed; its pid."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        hold(os.open(file, os.O_RDWR))
        os.write(writing, b"1")
        while True:
            signal.pause()
    os.read(reading, 1)
    os.close(reading)
    os.close(writing)
    return pid


def test_a_lock_that_another_than_the_one_named_has_by_now(tmp_path: Path) -> None:
    file = tmp_path / "a.lock"
    file.touch()
    pid = by_another(file, lambda descriptor: fcntl.lockf(descriptor, fcntl.LOCK_EX))
    try:
        assert is_in_the_way(Obstacle("lock", str(file), pid), [tmp_path])
        assert not is_in_the_way(Obstacle("lock", str(file), pid + 1), [tmp_path])
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("hold", [flock, lambda descriptor: fcntl.lockf(descriptor, fcntl.LOCK_EX)])
def test_a_lock(tmp_path: Path, hold: Callable[[int], None]) -> None:
    file = tmp_path / "a.lock"
    file.touch()
    obstacle = Obstacle("lock", str(file))
    assert not is_in_the_way(obstacle, [tmp_path])
    pid = by_another(file, hold)
    try:
        assert is_in_the_way(obstacle, [tmp_path])
        assert is_in_the_way(obstacle, [tmp_path])
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert not is_in_the_way(obstacle, [tmp_path])
    assert not is_in_the_way(Obstacle("lock", str(tmp_path / "gone")), [tmp_path])


def test_nothing_is_opened_outside_or_that_is_no_file(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    secret = tmp_path / "secret"
    with secret.open("w") as held:
        flock(held.fileno())
        (inside / "link").symlink_to(secret)
        for path in (secret, inside / ".." / "secret", inside / "link"):
            assert not is_in_the_way(Obstacle("lock", str(path)), [inside])
    os.mkfifo(inside / "fifo")
    assert not is_in_the_way(Obstacle("lock", str(inside / "fifo")), [inside])
    assert not is_in_the_way(Obstacle("disk", "/", 1 << 60), [inside])


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port(family: int, host: str) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as other:
        try:
            other.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no such address here: {error}")
        other.listen()
        obstacle = Obstacle("port", host, other.getsockname()[1])
        assert is_in_the_way(obstacle, [])
        for name in ("localhost", "", "no.such.host.invalid", "127.1"):
            assert not is_in_the_way(replace(obstacle, what=name), []), "no name is looked up"
    assert not is_in_the_way(obstacle, [])
    assert not is_in_the_way(Obstacle("port", "192.0.2.1", 9), []), "no address of ours: it isn't taken"
    assert not is_in_the_way(Obstacle("port", host, 1 << 20), [])
