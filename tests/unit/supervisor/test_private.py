"""The channel between wallet and signer: who is given an end, and what of it outlives a supervisor."""

import os
import socket
from collections.abc import Iterator

import pytest

from bitcoind_mp.supervisor.processes.private import Private, adoptable, made


@pytest.fixture
def held() -> Iterator[list[int]]:
    """Descriptors, closed at the end where they are still open."""
    found = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]
    yield found
    for descriptor in found:
        if is_open(descriptor):
            os.close(descriptor)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_only_two_units_are_handed_an_end() -> None:
    private = made(Private({}), wanted=True)
    try:
        assert [name for name, _ in private.of("wallet")] == ["to-signer"]
        assert [name for name, _ in private.of("signer")] == ["from-wallet"]
        assert private.of("node") == ()
        assert made(private, wanted=True) is private
        assert not any(os.get_inheritable(descriptor) for descriptor in private.ends.values())
        with socket.socket(fileno=os.dup(private.ends["wallet"])) as end:
            assert end.type == socket.SOCK_SEQPACKET
    finally:
        private.close()
    assert made(Private({}), wanted=False).ends == {}


def test_a_channel_that_is_whole_is_taken_over(held: list[int]) -> None:
    node, wallet, signer, calling, answering = held
    listeners = {"node": node, "wallet": wallet, "signer": signer}
    ends = {"wallet": calling, "signer": answering}
    assert adoptable(listeners, ends, wanted=True) == (listeners, Private(ends))
    assert all(map(is_open, held))


@pytest.mark.parametrize("left", ["wallet", "signer"])
def test_whoever_has_an_end_that_leads_nowhere_is_replaced(held: list[int], left: str) -> None:
    node, wallet, _, end, _ = held
    assert adoptable({"node": node, left: wallet}, {left: end}, wanted=True) == ({"node": node}, Private({}))
    assert [is_open(descriptor) for descriptor in (node, wallet, end)] == [True, False, False]


def test_without_a_signer_nothing_changes(held: list[int]) -> None:
    node, wallet, _, end, _ = held
    assert adoptable({"node": node, "wallet": wallet}, {}, wanted=False)[0] == {"node": node, "wallet": wallet}
    assert adoptable({"node": node, "wallet": wallet}, {"wallet": end}, wanted=False)[0] == {"node": node}
