"""Commands that another server answers: declared here, bound there."""

import asyncio
import socket
from typing import Any

from bitcoind_mp.interfaces.command import Call, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc.client import attach
from bitcoind_mp.ipc.serve.forward import as_it_came, elsewhere
from bitcoind_mp.ipc.serve.incoming import Incoming
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.encoding import encode

HELLO = Hello("wallet", PROTOCOL_VERSION, "regtest", "test", 1)


class Commands:
    @command("wallet", options="options")
    def pay(self, call: Call, to: dict[str, Any], options: dict[str, Any] | None = None) -> Any:
        """Pays."""
        raise AssertionError("nothing is called here")


def test_a_request_is_handed_on_as_it_came_and_described_as_ever() -> None:
    seen: list[Any] = []

    async def hand_on(request: Incoming) -> Any:
        seen.append((request.method, request.wallet, encode(as_it_came(request.params))))
        if request.wallet == "none":
            raise RpcError(RpcCode.WALLET_NOT_FOUND, "not loaded")
        return {"paid": True}

    async def scenario() -> None:
        server = Server([], hello=HELLO)
        server.add_table(elsewhere([Commands], hand_on), "test")
        assert [entry["name"] for entry in server.manifest()["commands"]] == ["help", "pay"]
        ours, theirs = socket.socketpair()
        await server.adopt(theirs)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        line = b'{"jsonrpc":"2.0","id":1,"method":"pay","params":[{"a":1.10,"a":2}],"wallet":"w"}\n'
        await loop.sock_sendall(ours, line)
        assert b'"result":{"paid":true}' in await loop.sock_recv(ours, 4096)
        session = await attach(ours)
        try:
            await session.call("pay", [], wallet="none")
        except RpcError as error:
            assert error.code == RpcCode.WALLET_NOT_FOUND
        else:
            raise AssertionError("refused there, and not here")
        session.abort()
        await server.close()

    asyncio.run(scenario())
    assert seen == [
        ("pay", "w", b'[{"a":1.10,"a":2}]'),
        ("pay", "none", b"null"),
    ], "with what an object names twice, and numbers as they were written"
