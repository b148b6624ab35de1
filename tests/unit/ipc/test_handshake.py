import asyncio
import json
import os
import socket
from dataclasses import asdict
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.ipc.client import attach
from bitcoind_mp.ipc.handshake import check, read_hello
from bitcoind_mp.ipc.serve.server import Server


def test_like_minded_sides_shake_hands(hello: Any) -> None:
    check(hello("node"), hello("wallet"))


@pytest.mark.parametrize(
    "theirs, words",
    [
        ({"protocol": 0}, "upgrade the wallet and restart it"),
        ({"protocol": 99}, "upgrade the node and restart it"),
        ({"chain": "main"}, "start the wallet with -chain=regtest, or connect it to a node of main"),
    ],
)
def test_a_mismatch_says_which_side_must_change(hello: Any, theirs: dict[str, Any], words: str) -> None:
    with pytest.raises(RpcError) as caught:
        check(hello("node"), hello("wallet", **theirs))
    assert caught.value.code == RpcCode.INVALID_REQUEST and words in caught.value.message


@pytest.mark.parametrize("params", [None, [], [5], {}, {"hello": {"role": "x"}}, [{"role": 1}]])
def test_what_is_no_hello_is_refused(params: Any) -> None:
    with pytest.raises(RpcError) as caught:
        read_hello(params)
    assert caught.value.code == RpcCode.INVALID_PARAMS


def test_both_sides_learn_who_the_other_is(serving: Any) -> None:
    async def main() -> None:
        async with serving() as (server, session):
            assert session.peer.role == "node" and session.peer.pid == os.getpid()
            (theirs,) = server.sessions
            assert theirs.peer.role == "wallet"

    asyncio.run(main())


def test_a_refused_client_is_told_and_not_connected(hello: Any) -> None:
    async def main() -> None:
        server = Server(hello=hello("node"))
        ours, theirs = socket.socketpair()
        await server.adopt(ours)
        with pytest.raises(RpcError, match="-chain=regtest"):
            await attach(theirs, hello=hello("wallet", chain="main"))
        (session,) = server.sessions
        await asyncio.wait_for(session.closed, 5)
        await server.close()

    asyncio.run(main())


def test_the_client_looks_at_the_server_s_hello_too(hello: Any) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        attaching = asyncio.ensure_future(attach(theirs, hello=hello("wallet")))
        request = json.loads(await asyncio.wait_for(loop.sock_recv(ours, 10_000), 5))
        answer = {"jsonrpc": "2.0", "result": asdict(hello("node", protocol=99)), "id": request["id"]}
        await loop.sock_sendall(ours, json.dumps(answer).encode() + b"\n")
        with pytest.raises(RpcError, match="upgrade the wallet"):
            await attaching
        assert await asyncio.wait_for(loop.sock_recv(ours, 100), 5) == b""
        ours.close()

    asyncio.run(main())
