"""The ban list: what it refuses, for how long, and over restarts."""

import json
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.p2p.bans import Ban, BanList

NOW = 1_700_000_000
HOME, NET = ip_network("127.0.0.1/32"), ip_network("127.0.0.0/24")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


def test_a_ban_holds_for_its_time_and_for_all_of_its_network(clock: Clock) -> None:
    bans = BanList(None, clock, usual=100)
    bans.add(NET)
    bans.add(ip_network("10.0.0.1"), 5)
    bans.add(ip_network("::1"), NOW + 50, absolute=True)
    assert bans.is_banned(ip_address("127.0.0.9"))
    assert not bans.is_banned(ip_address("127.0.1.9"))
    assert not bans.is_banned(None)
    assert bans.is_listed(NET)
    assert not bans.is_listed(HOME)
    assert [(str(network), ban.until - NOW) for network, ban in bans.listed()] == [
        ("10.0.0.1/32", 5),
        ("127.0.0.0/24", 100),
        ("::1/128", 50),
    ]
    clock.set_mock(NOW + 60)
    assert [network for network, _ in bans.listed()] == [NET]
    clock.set_mock(NOW + 100)
    assert not bans.is_banned(ip_address("127.0.0.9"))


def test_a_shorter_ban_does_not_replace_a_longer(clock: Clock) -> None:
    bans = BanList(None, clock)
    bans.add(HOME, 100)
    bans.add(HOME, 50)
    assert bans.listed() == [(HOME, Ban(NOW, NOW + 100))]
    bans.add(HOME, 200)
    assert bans.listed() == [(HOME, Ban(NOW, NOW + 200))]


def test_the_list_is_cores_file_and_there_again_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "banlist.json"
    bans = BanList(path, clock)
    assert json.loads(path.read_text()) == {"banned_nets": []}
    bans.add(NET, 10)
    entry = {"version": 1, "ban_created": NOW, "banned_until": NOW + 10, "address": "127.0.0.0/24"}
    assert json.loads(path.read_text()) == {"banned_nets": [entry]}
    again = BanList(path, clock)
    assert again.listed() == [(NET, Ban(NOW, NOW + 10))]
    assert not again.remove(HOME)
    assert again.remove(NET)
    assert BanList(path, clock).listed() == []
    bans.add(HOME)
    bans.clear()
    assert BanList(path, clock).listed() == []


@pytest.mark.parametrize("text", ["", "{}", '{"banned_nets": [{"version": 1}]}', '{"banned_nets": [{"address": 5}]}'])
def test_a_damaged_list_is_begun_anew(tmp_path: Path, clock: Clock, text: str) -> None:
    path = tmp_path / "banlist.json"
    path.write_text(text)
    assert BanList(path, clock).listed() == []
    assert json.loads(path.read_text()) == {"banned_nets": []}


def test_who_misbehaved_is_remembered_until_the_end(clock: Clock) -> None:
    bans = BanList(None, clock)
    bans.discourage(ip_address("10.0.0.1"))
    bans.discourage(None)
    assert bans.is_discouraged(ip_address("10.0.0.1"))
    assert not bans.is_discouraged(ip_address("10.0.0.2"))
    assert not bans.is_discouraged(None)
