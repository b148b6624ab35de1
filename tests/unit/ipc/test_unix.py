import os
import socket
import stat
from pathlib import Path

import pytest

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.ipc.wire.credentials import AccessRule, own_user, peer_credentials
from bitcoind_mp.ipc.wire.unix import bind_listener, connect_socket, is_answered, short_address


def test_a_bound_socket_is_its_owner_s_alone_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not is_answered(path)
    with bind_listener(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert is_answered(path)
        with connect_socket(path, timeout=1):
            pass
    assert not is_answered(path)


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    bind_listener(path).close()
    assert path.exists()
    with bind_listener(path, mode=0o660):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(FatalError) as caught:
            bind_listener(path)
        assert caught.value.status is ExitStatus.PORT_TAKEN and "answers on" in str(caught.value)
        assert is_answered(path)


def test_a_socket_whose_queue_is_full_is_a_live_one(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(0)
        queued = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for one in queued:
            one.setblocking(False)
            try:
                one.connect(str(path))
            except BlockingIOError:
                break
        assert is_answered(path)
        with pytest.raises(BlockingIOError):
            connect_socket(path, timeout=0.01)
        for one in queued:
            one.close()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("a file")
    with pytest.raises(FatalError) as caught:
        bind_listener(path)
    assert caught.value.status is ExitStatus.CONFIG and path.read_text() == "a file"
    with pytest.raises(FatalError) as caught:
        bind_listener(tmp_path / "nosuch" / "s")
    assert caught.value.status is ExitStatus.OS_ERROR


def test_a_path_too_long_for_the_kernel_works(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    path = directory / "node.sock"
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with bind_listener(path), connect_socket(path, timeout=1):
        assert path.is_socket()
    assert not is_answered(path)
    bind_listener(path).close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    with short_address(path) as address:
        assert len(address) < 108


def test_the_kernel_tells_who_the_peer_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_credentials(ours)
        assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())
        assert set(peer.groups) == set(os.getgroups())


def test_the_owner_s_rule(tmp_path: Path) -> None:
    import grp

    group = grp.getgrall()[0]
    assert own_user() == AccessRule(os.geteuid(), None)
    assert own_user(group.gr_name) == AccessRule(os.geteuid(), group.gr_gid)
    assert own_user("4711") == AccessRule(os.geteuid(), 4711)
    with pytest.raises(FatalError) as caught:
        own_user("no such group")
    assert caught.value.status is ExitStatus.CONFIG
