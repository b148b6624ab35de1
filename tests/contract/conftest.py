"""Each contract test runs twice: on the object itself, and on its proxy over a socketpair to a server of it."""

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc.client import attach
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.serve.server import Server

#: an async context that turns an object into what a caller of its interface holds
Reach = Callable[[type, Any], Any]


def _hello(role: str) -> Hello:
    return Hello(role, PROTOCOL_VERSION, "regtest", "0.1", os.getpid())


@contextlib.asynccontextmanager
async def _itself(interface: type, instance: Any) -> AsyncIterator[Any]:
    assert isinstance(instance, interface)
    yield instance


@contextlib.asynccontextmanager
async def _over_a_socket(interface: type, instance: Any) -> AsyncIterator[Any]:
    server = Server([instance], hello=_hello("node"))
    ours, theirs = socket.socketpair()
    await server.adopt(ours)
    session = await attach(theirs, hello=_hello("wallet"), timeout=10)
    try:
        yield proxy(interface, session)
    finally:
        await session.close()
        await server.close()


@pytest.fixture(params=[_itself, _over_a_socket], ids=["itself", "over a socket"])
def reach(request: Any) -> Reach:
    found: Reach = request.param
    return found
