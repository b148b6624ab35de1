"""What a caller of a unit that is down is told, whatever it asked."""

import asyncio
import errno
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from bitcoind_mp.ipc.wire.passing import call_over, take_from
from bitcoind_mp.supervisor.doorman import Doorman, Take, refusal, why_not
from bitcoind_mp.supervisor.processes.private import Private
from bitcoind_mp.supervisor.processes.waiting import WaitingCallers
from bitcoind_mp.supervisor.supervised import Supervised
from bitcoind_mp.supervisor.units.policy import Policy
from bitcoind_mp.supervisor.units.states import State
from bitcoind_mp.supervisor.units.unit import Unit


@pytest.mark.parametrize(
    ("request_line", "identity"),
    [
        (b'{"jsonrpc":"2.0","method":"getblockcount","id":7}', 7),
        (b'{"jsonrpc":"2.0","method":"getblockcount","id":"x"}', "x"),
        (b'[{"id":1}]', None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"not json", None),
        (b"[" * 100_000, None),
        (b"1", None),
    ],
)
def test_every_request_gets_an_error(request_line: bytes, identity: object) -> None:
    line = refusal(request_line, "The node is stopped.")
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "jsonrpc": "2.0",
        "error": {"code": -9, "message": "The node is stopped."},
        "id": identity,
    }


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State.STOPPED, "The node is stopped. Start it with: bitcoin-mp -regtest start node"),
        (
            State.FAILED,
            "The node has failed: no such address. See: bitcoin-mp -regtest logs node. "
            "Then: bitcoin-mp -regtest start node",
        ),
        (
            State.HELD,
            "The node is held, and starts by itself once what is in its way is gone: no such address. "
            "See: bitcoin-mp -regtest status node",
        ),
    ],
)
def test_what_to_do_is_said_with_the_options_that_lead_here(state: State, said: str) -> None:
    unit = Unit(Policy(), state, reason="no such address.")
    assert why_not("node", unit, "bitcoin-mp -regtest") == said


@dataclass
class Down:
    """A unit at rest, as far as the doorman looks at it."""

    name: str
    unit: Unit
    callers: WaitingCallers


NODE = Down("node", Unit(Policy(), State.FAILED, reason="killed"), WaitingCallers(None))


@contextmanager
def at_the_door(take: Take) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The ends of callers of a node that is down: of its channel, and the one by path."""
    calling, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("")
    listening.listen()
    doorman = Doorman("bitcoin-mp", Private({"at-node": answering.fileno()}), take)
    doorman.watch(cast(Supervised, NODE), listening)
    try:
        with calling, answering, listening:
            yield calling, listening
    finally:
        doorman.close()


def test_a_socket_that_somebody_spoilt_takes_no_time() -> None:
    """It is readable for ever, and gives nobody."""

    async def story() -> None:
        tries = 0

        def take(end: socket.socket) -> socket.socket | None:
            nonlocal tries
            tries += 1
            raise OSError(errno.EINVAL, "Invalid argument") if tries == 1 else EOFError

        with at_the_door(take) as (calling, _):
            calling.send(b".")
            for _ in range(100):
                await asyncio.sleep(0)
            assert tries == 1

    asyncio.run(story())


def test_callers_hold_few_descriptors_however_many_come_and_say_nothing() -> None:
    async def story() -> None:
        def count() -> int:
            return len(list(Path("/proc/self/fd").iterdir()))

        with at_the_door(take_from) as (calling, _):
            before, most = count(), 0
            for _ in range(1500):
                call_over(calling).close()  # it has hung up; what it left lies in the channel
                await asyncio.sleep(0)
            silent = []
            for _ in range(500):
                silent.append(call_over(calling))
                for _ in range(3):
                    await asyncio.sleep(0)
                most = max(most, count() - before - len(silent))
            assert most < 300
            last = silent[-1]
            last.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(last, b'{"jsonrpc":"2.0","method":"chain.status","id":1}\n')
            assert b"The node has failed: killed" in await loop.sock_recv(last, 1000)
            for each in silent:
                each.close()

    asyncio.run(story())


def test_who_calls_while_all_is_stopped_is_told_so() -> None:
    async def story() -> None:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind("")
        listening.listen()
        stopped = Down("node", Unit(Policy(), State.STOPPED), WaitingCallers(None))
        doorman = Doorman("x", Private({}), take_from, lambda: True)
        doorman.watch(cast(Supervised, stopped), listening)
        with listening, socket.socket(socket.AF_UNIX) as caller:
            caller.connect(listening.getsockname())
            caller.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(caller, b'{"jsonrpc":"2.0","method":"getblockcount","id":1}\n')
            assert b"bitcoind-mp is stopping." in await loop.sock_recv(caller, 1000)
        doorman.close()

    asyncio.run(story())
