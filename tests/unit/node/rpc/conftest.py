"""Commands called as a server calls them, their parameters bound by Core's rules, without a process."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from bitcoind_mp.interfaces.command import Call
from bitcoind_mp.ipc.declared.binding import Binder
from bitcoind_mp.ipc.declared.signature import declared
from bitcoind_mp.ipc.wire.encoding import decode, encode
from bitcoind_mp.node.chain.params import params_for
from bitcoind_mp.node.rpc.psbt import PsbtCommands
from bitcoind_mp.node.rpc.rawtransactions import RawTransactionCommands
from bitcoind_mp.node.rpc.scripts import ScriptCommands
from bitcoind_mp.node.rpc.util import UtilCommands

Ask = Callable[..., Any]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def asker(*objects: object, run: Run = asyncio.run) -> Ask:
    """``ask(method, *params)`` or ``ask(method, name=param)``, answered as over the wire. A wrong number of params
    raises the words "the help"."""
    table: dict[str, tuple[Any, Binder, Any]] = {}
    for instance in objects:
        kind: Any = type(instance)
        for attribute, method in declared(kind).items():
            table[method.name] = method, Binder(method, lambda: "the help"), getattr(instance, attribute)

    def ask(name: str, /, *params: Any, **named: Any) -> Any:
        method, binder, function = table[name]
        arguments = list(binder.bind(decode(encode(named or list(params)))))
        if method.call_index >= 0:
            arguments.insert(method.call_index, Call(name))
        result = function(*arguments)
        return decode(encode(run(result) if inspect.isawaitable(result) else result))

    return ask


@pytest.fixture
def ask_of(run: Run) -> Callable[..., Ask]:
    """Makes an `asker` of the objects given, in the test's own loop."""
    return lambda *objects: asker(*objects, run=run)


class NothingKnown:
    """Stands for mempool and chain where no coin and no transaction is known."""

    def output(self, outpoint: tuple[bytes, int]) -> None:
        return None

    async def transaction(self, txid: bytes, block: object = None) -> None:
        return None


@pytest.fixture
def ask() -> Ask:
    """Asks the commands that need no chain, on regtest."""
    chain: Any = SimpleNamespace(params=params_for("regtest"), genesis=SimpleNamespace(merkle_root=b""))
    nothing: Any = NothingKnown()
    return asker(
        PsbtCommands("regtest", nothing),
        RawTransactionCommands(chain, nothing, None),
        ScriptCommands("regtest"),
        UtilCommands("regtest"),
    )
