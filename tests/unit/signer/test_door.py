"""Who counts as a worker."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc.client import connect
from bitcoind_mp.ipc.serve.door import Door
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.unix import bind_listener
from bitcoind_mp.signer.door import REFUSAL, Lineage, chooser, group_and_session, parent_of

#: pid -> parent. 100 is the supervisor, 101 to 103 its workers; 110 came from the wallet, 111 from that.
PARENTS = {1: 0, 100: 50, 101: 100, 102: 100, 103: 100, 110: 102, 111: 110, 50: 1, 200: 50, 201: 200, 300: 1}


def lineage(network: Path, parent: int, parents: Mapping[int, int]) -> Lineage:
    """Each process in a group of its own, and all in one terminal's session."""
    return Lineage(network, lambda: parent, parents.get, lambda pid: (pid, 50) if pid in parents else None)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    (tmp_path / "supervisor.lock").write_text("100\n")
    (tmp_path / "wallet.lock").write_text("300\n")
    return tmp_path


@pytest.mark.parametrize(
    ("pid", "worker"),
    [
        (100, False),  # the supervisor itself
        (200, False),  # a person's shell
        (201, False),
        (50, False),
        (101, True),
        (102, True),
        (110, True),
        (111, True),
        (999, True),  # gone before it could be told
        (0, True),  # in another pid namespace: nobody can tell where it comes from
        (300, True),  # a wallet without a supervisor: it has the lock
    ],
)
def test_under_a_supervisor(network: Path, pid: int, worker: bool) -> None:
    assert lineage(network, 100, PARENTS).is_worker(pid) is worker


def test_files_that_a_worker_forged_change_nothing_while_the_supervisor_is_our_parent(network: Path) -> None:
    known = lineage(network, 100, PARENTS)
    assert known.is_worker(102)
    (network / "supervisor.lock").write_text("102\n")
    (network / "wallet.lock").unlink()
    assert [known.is_worker(pid) for pid in (102, 110, 101, 100, 200)] == [True, True, True, False, False]


def test_without_a_supervisor_the_lock_tells(network: Path) -> None:
    (network / "supervisor.lock").write_text("")
    known = lineage(network, 50, {**PARENTS, 301: 300})
    assert [known.is_worker(pid) for pid in (300, 301, 102, 200)] == [True, True, False, False]
    (network / "wallet.lock").write_text("")
    assert not known.is_worker(300)


def test_taken_over_by_another_supervisor(network: Path) -> None:
    """Ours was killed: it left us and the other workers to init, and the next one (400) keeps a list of them."""
    left = {**PARENTS, 101: 1, 102: 1, 400: 1, 401: 400}
    left.pop(100)
    known = lineage(network, 1, left)
    (network / "supervisor.lock").write_text("400\n")
    (network / "run").mkdir()
    (network / "run" / "units").write_text("node 101 5 boot".ljust(127) + "\n" + "wallet 102 5 boot".ljust(127) + "\n")
    assert [known.is_worker(pid) for pid in (101, 102, 110, 401)] == [True, True, True, True]
    assert [known.is_worker(pid) for pid in (400, 200)] == [False, False]


def test_a_ring_of_parents_is_no_owner(network: Path) -> None:
    assert lineage(network, 100, {7: 8, 8: 7}).is_worker(7)


@pytest.mark.parametrize(
    ("pid", "worker"),
    [
        (100, False),  # the supervisor itself
        (200, False),  # a person's shell
        (101, True),  # in the supervisor's list
        (102, True),
        (110, True),  # in the wallet's process group
        (120, True),  # in the supervisor's session: a command that it runs
        (999, True),  # gone: its connection was a worker's that has been taken from the list, perhaps
    ],
)
def test_where_proc_shows_nobody_else(network: Path, pid: int, worker: bool) -> None:
    """As under ``ProtectProc=invisible``: what is known of a process without /proc must do."""
    (network / "run").mkdir()
    (network / "run" / "units").write_text(
        "node 101 - - boot".ljust(127) + "\n" + "wallet 102 - - boot".ljust(127) + "\n"
    )
    belongs = {100: (100, 100), 101: (101, 100), 102: (102, 90), 110: (102, 90), 120: (120, 100), 200: (200, 0)}
    assert Lineage(network, lambda: 100, lambda _: None, belongs.get).is_worker(pid) is worker


def test_one_that_is_gone_is_no_owner_where_proc_shows_all(network: Path) -> None:
    """It had not ended when its group was asked for."""
    assert Lineage(network, lambda: 100, PARENTS.get, lambda _: (999, 50)).is_worker(999)


def test_groups_and_sessions_are_the_kernel_s() -> None:
    assert group_and_session(os.getpid()) == (os.getpgrp(), os.getsid(0))
    assert group_and_session(2**22 + 1) is None


def test_parents_are_the_kernel_s() -> None:
    assert parent_of(os.getpid()) == os.getppid()
    assert parent_of(2**22 + 1) is None


def test_a_connection_goes_to_the_server_that_is_for_it(tmp_path: Path) -> None:
    class Owners:
        @command("signer")
        def secret(self) -> str:
            """Tells.

            Returns:
                It
            """
            return "told"

    async def asked(network: Path) -> str:
        hello = Hello("signer", PROTOCOL_VERSION, "regtest", "0.1", os.getpid())
        owner, wallet = Server([Owners()], hello=hello), Server(hello=hello, unknown=REFUSAL)
        path = tmp_path / "signer.sock"
        listening = bind_listener(path, mode=0o600)
        door = Door(listening, chooser(Lineage(network), owner, wallet))
        door.open()
        session = await connect(path)
        try:
            return str(await session.call("secret", []))
        except RpcError as error:
            return error.message
        finally:
            await session.close()
            await door.close()
            await owner.close()
            await wallet.close()
            listening.close()
            path.unlink()

    assert asyncio.run(asked(tmp_path)) == "told"
    (tmp_path / "wallet.lock").write_text(f"{os.getpid()}\n")
    assert asyncio.run(asked(tmp_path)) == REFUSAL
