"""What the process that makes wallets believes of what the others tell of theirs."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any, cast

from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.interfaces.wallet_units import WalletUnit
from bitcoind_mp.ipc.events import Publisher
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.wallet.separate.elsewhere import Balances, Processes

HELLO = Hello("wallet", PROTOCOL_VERSION, "regtest", "0.1", os.getpid())
ALICE, BOB = {"name": "alice", "balance": 1}, {"name": "bob", "balance": 2}


class Two:
    """The processes of two wallets, as far as they are listed."""

    async def known(self) -> list[WalletUnit]:
        return [WalletUnit(name, f"wallet@{name}", True) for name in ("alice", "bob")]


def test_a_wallets_process_tells_of_no_other_and_spoils_none(tmp_path: Path) -> None:
    async def story() -> None:
        servers, told = {}, {}
        for name in ("alice", "bob"):
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(tmp_path / f"wallet@{name}"))
            listening.listen()
            told[name] = Publisher(("balance",), interval=0)
            servers[name] = Server([told[name]], hello=HELLO)
            await servers[name].serve(listening)
        seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        balances = Balances(cast(Processes, Two()), lambda unit: tmp_path / unit, HELLO, seen.put_nowait)
        balances.look()

        async def until(wallets: list[Any]) -> None:
            while (await seen.get())["wallets"] != wallets:
                pass

        async with asyncio.timeout(60):
            told["bob"].publish("balance", {"wallets": [BOB]})
            await until([BOB])
            for odd in (5, "alice", [5, None, "alice"], {"name": "alice"}, [{**BOB, "balance": 9}, [], {}], None):
                told["alice"].publish("balance", {"wallets": odd})
                await until([BOB])
            told["alice"].publish("balance", {"wallets": [{**BOB, "balance": 9}, ALICE, ALICE]})
            await until([ALICE, BOB])
        await balances.close()
        for name, server in servers.items():
            told[name].close()
            await server.close()

    asyncio.run(story())
