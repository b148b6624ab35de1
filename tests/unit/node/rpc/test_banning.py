"""``setban``, ``listbanned`` and ``clearbanned``, in Core's words."""

from types import SimpleNamespace
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.p2p.bans import BanList
from bitcoind_mp.node.rpc.banning import BanCommands

NOW = 1_700_000_000


class FakePeers:
    def __init__(self, bans: BanList) -> None:
        self.bans = bans

    def ban(self, network: Any, seconds: int, *, absolute: bool) -> None:
        self.bans.add(network, seconds, absolute=absolute)


@pytest.fixture
def commands() -> BanCommands:
    clock = Clock(NOW)
    peers: Any = FakePeers(BanList(None, clock))
    return BanCommands(peers, clock)


def test_what_is_banned_is_listed(commands: BanCommands) -> None:
    commands.setban("127.0.0.0/24", "add", 100)
    assert commands.listbanned() == [
        {
            "address": "127.0.0.0/24",
            "ban_created": NOW,
            "banned_until": NOW + 100,
            "ban_duration": 100,
            "time_remaining": 100,
        }
    ]
    commands.setban("127.0.0.0/24", "remove")
    assert commands.listbanned() == []
    commands.setban("::1", "add", NOW + 5, True)
    assert [entry["address"] for entry in commands.listbanned()] == ["::1/128"]
    commands.clearbanned()
    assert commands.listbanned() == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("127.0.0.1", "frob"), -1, "setban"),
        (("127.0.0.1/42", "add"), -30, "Error: Invalid IP/Subnet"),
        (("nowhere", "add"), -30, "Error: Invalid IP/Subnet"),
        (("127.0.0.9", "add"), -23, "Error: IP/Subnet already banned"),
        (("127.0.0.0/24", "add"), -23, "Error: IP/Subnet already banned"),
        (("10.0.0.1", "add", 123, True), -8, "Error: Absolute timestamp is in the past"),
        (
            ("127.0.0.9", "remove"),
            -30,
            "Error: Unban failed. Requested address/subnet was not previously manually banned.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    commands: BanCommands, arguments: tuple[Any, ...], code: int, message: str
) -> None:
    commands.setban("127.0.0.0/24", "add")
    with pytest.raises(RpcError) as refused:
        commands.setban(*arguments)
    assert (refused.value.code, refused.value.message[: len(message)]) == (code, message)


def test_a_full_disk_is_told(commands: BanCommands) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    commands._peers = SimpleNamespace(bans=SimpleNamespace(clear=full))  # type: ignore[assignment]
    with pytest.raises(RpcError, match="could not be written down: No space left"):
        commands.clearbanned()
