"""What the wallet's commands refuse before they run: parameters of another JSON type, and numbers beyond 32 bits."""

import json
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.ipc.declared.binding import Binder
from bitcoind_mp.ipc.declared.signature import declared
from bitcoind_mp.wallet.rpc.addresses import AddressCommands
from bitcoind_mp.wallet.rpc.coins import CoinCommands
from bitcoind_mp.wallet.rpc.fund import FundCommands
from bitcoind_mp.wallet.rpc.received import ReceivedCommands
from bitcoind_mp.wallet.rpc.spend import PaymentCommands
from bitcoind_mp.wallet.rpc.transactions import TransactionCommands


def refusal(commands: type, name: str, params: list[Any]) -> tuple[int, str]:
    with pytest.raises(RpcError) as caught:
        Binder(declared(commands)[name], lambda: "usage").bind(params)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    "commands, name, params, place, found, expected",
    [
        (PaymentCommands, "sendmany", [False, {}], "1 (dummy)", "bool", "string"),
        (PaymentCommands, "sendmany", [[], {}], "1 (dummy)", "array", "string"),
        (FundCommands, "walletcreatefundedpsbt", ["", {}], "1 (inputs)", "string", "array"),
        (FundCommands, "walletcreatefundedpsbt", [{}, {}], "1 (inputs)", "object", "array"),
    ],
)
def test_a_parameter_of_another_type_is_named(
    commands: type, name: str, params: list[Any], place: str, found: str, expected: str
) -> None:
    why = {f"Position {place}": f"JSON value of type {found} is not of expected type {expected}"}
    assert refusal(commands, name, params) == (
        RpcCode.TYPE_ERROR,
        f"Wrong type passed:\n{json.dumps(why, indent=4)}",
    )


@pytest.mark.parametrize(
    "commands, name, before",
    [
        (AddressCommands, "keypoolrefill", []),
        (CoinCommands, "getbalance", ["*"]),
        (CoinCommands, "listunspent", []),
        (CoinCommands, "listunspent", [1]),
        (ReceivedCommands, "listreceivedbyaddress", []),
        (ReceivedCommands, "listreceivedbylabel", []),
        (TransactionCommands, "listtransactions", ["*"]),
        (TransactionCommands, "listtransactions", ["*", 10]),
        (TransactionCommands, "listsinceblock", ["ab" * 32]),
        (TransactionCommands, "rescanblockchain", []),
        (TransactionCommands, "rescanblockchain", [0]),
    ],
)
@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 1.5])
def test_a_count_beyond_32_bits_is_refused(commands: type, name: str, before: list[Any], number: float) -> None:
    assert refusal(commands, name, [*before, number]) == (RpcCode.MISC_ERROR, "JSON integer out of range")
