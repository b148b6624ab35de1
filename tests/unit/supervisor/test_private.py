"""The channels between workers: who is given an end, and what of them outlives a supervisor."""

import os
import socket
from collections.abc import Iterator, Mapping

import pytest

from bitcoind_mp.supervisor.processes.private import ENDS, HANDED, PAIRS, Private, adoptable, made

ALL = ("node", "signer", "keeper")
Given = dict[str, dict[str, int]]


class Left:
    """What an earlier supervisor's workers gave back: their listening sockets, and copies of their ends."""

    def __init__(self, private: Private) -> None:
        self._private = private
        self.listeners: dict[str, int] = {}
        self.handed: Given = {}
        self.copies: list[int] = []

    def leave(self, *units: str) -> None:
        for unit in units:
            self.listeners[unit] = self._copy(next(iter(self._private.ends.values())))
            self.handed[unit] = {name: self._copy(end) for name, end in self._private.of(unit)}

    def _copy(self, descriptor: int) -> int:
        self.copies.append(os.dup(descriptor))
        return self.copies[-1]

    def open_copies(self) -> set[int]:
        return {descriptor for descriptor in self.copies if is_open(descriptor)}


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@pytest.fixture
def left() -> Iterator[Left]:
    private = made(Private({}), wanted=ALL)
    found = Left(private)
    yield found
    private.close()
    for descriptor in found.open_copies():
        os.close(descriptor)


def names(private: Private, unit: str) -> set[str]:
    return {name for name, _ in private.of(unit)}


def test_each_unit_is_handed_what_it_calls_and_answers_by(left: Left) -> None:
    private = made(Private({}), wanted=ALL)
    try:
        assert {"at-node"} <= names(private, "node") <= {"at-node", "to-node"}
        assert {"from-wallet"} <= names(private, "signer") <= {"from-wallet", "to-signer"}
        assert {"to-node", "to-signer", "at-keeper"} <= names(private, "wallet")
        assert names(private, "wallet@a") == {"to-node", "to-signer", "to-keeper"}, "nobody's calls but its own"
        assert names(private, "supervisor") == set()
        assert private.door("node") == private.ends["at-node"]
        assert private.door("wallet@a") is None
        assert made(private, wanted=ALL) == private
        assert not any(os.get_inheritable(descriptor) for descriptor in private.ends.values())
        with socket.socket(fileno=os.dup(private.ends["to-node"])) as end:
            assert end.type == socket.SOCK_SEQPACKET
    finally:
        private.close()
    assert made(Private({}), wanted=()).ends == {}


def test_where_wallets_call_the_signer_only_the_signer_answers() -> None:
    assert [kind for kind, given in HANDED.items() if "from-wallet" in given] == ["signer"]
    assert {end for given in HANDED.values() for end in given} == ENDS == {end for p in PAIRS.values() for end in p}


def test_only_what_is_wanted_is_made() -> None:
    private = made(Private({}), wanted=("node",))
    try:
        assert private.ends.keys() == {"to-node", "at-node"}
        assert private.door("signer") is None
    finally:
        private.close()


@pytest.mark.parametrize(
    "units",
    [
        ("node", "signer", "wallet", "wallet@a", "wallet@b"),
        ("node", "signer", "wallet"),
        ("node",),
        ("signer",),
        ("wallet", "node", "wallet@a", "signer"),
    ],
)
def test_channels_that_are_whole_are_taken_over(left: Left, units: tuple[str, ...]) -> None:
    left.leave(*units)
    kept, private = adoptable(left.listeners, left.handed, wanted=ALL)
    assert kept == left.listeners
    assert private.ends.keys() == {end for unit in units for end in left.handed[unit]}
    assert left.open_copies() == {*kept.values(), *private.ends.values()}, "every other copy is closed"


def test_a_channel_to_the_node_outlives_the_node(left: Left) -> None:
    left.leave("wallet", "signer")
    kept, private = adoptable(left.listeners, left.handed, wanted=ALL)
    assert kept.keys() == {"wallet", "signer"}
    whole = made(private, wanted=ALL)
    assert os.path.sameopenfile(whole.ends["at-node"], left.handed["wallet"]["at-node"]), "the next node answers it"


@pytest.mark.parametrize(
    ("units", "replaced"),
    [
        (("node", "wallet", "wallet@a"), {"wallet", "wallet@a"}),  # no signer
        (("node", "signer", "wallet@a"), {"wallet@a"}),  # no keeper
        (("wallet@a", "wallet@b"), {"wallet@a", "wallet@b"}),
    ],
)
def test_whoever_has_an_end_that_leads_nowhere_is_replaced(
    left: Left, units: tuple[str, ...], replaced: set[str]
) -> None:
    left.leave(*units)
    kept, private = adoptable(left.listeners, left.handed, wanted=ALL)
    assert left.listeners.keys() - kept.keys() == replaced
    assert left.open_copies() == {*kept.values(), *private.ends.values()}


@pytest.mark.parametrize("unit", ["wallet@a", "node", "signer"])
def test_nobody_passes_off_a_channel_of_his_own_as_the_others(left: Left, unit: str) -> None:
    """He would be called in the place of whoever answers there."""
    forged = made(Private({}), wanted=ALL)
    try:
        left.leave(unit)
        own = [end for pair in PAIRS.values() if {*pair} <= left.handed[unit].keys() for end in pair]
        for name in forged.ends.keys() - own:
            if name in left.handed[unit]:
                os.dup2(forged.ends[name], left.handed[unit][name])
            else:
                left.handed[unit][name] = os.dup(forged.ends[name])
                left.copies.append(left.handed[unit][name])
        left.leave(*({"node", "signer", "wallet", "wallet@b"} - {unit}))
        kept, private = adoptable(left.listeners, left.handed, wanted=ALL)
        assert {"node", "signer", "wallet", "wallet@b"} - {unit} <= kept.keys()
        for name, end in forged.ends.items():
            assert not os.path.sameopenfile(private.ends[name], end), name
        assert left.open_copies() == {*kept.values(), *private.ends.values()}
    finally:
        forged.close()


def without(given: Mapping[str, int], end: str) -> dict[str, int]:
    return {name: descriptor for name, descriptor in given.items() if name != end}


def test_a_worker_from_before_there_was_a_channel_is_replaced(left: Left) -> None:
    left.leave("node", "signer", "wallet")
    left.handed["wallet"] = without(left.handed["wallet"], "to-node")
    assert adoptable(left.listeners, left.handed, wanted=ALL)[0].keys() == {"node", "signer"}


def test_a_worker_with_the_end_of_another_channel_is_replaced(left: Left) -> None:
    other = made(Private({}), wanted=ALL)
    left.leave("node", "signer", "wallet")
    os.dup2(other.ends["to-node"], left.handed["wallet"]["to-node"])
    assert adoptable(left.listeners, left.handed, wanted=ALL)[0].keys() == {"node", "signer"}
    other.close()


def test_whoever_has_what_is_wanted_no_more_is_replaced(left: Left) -> None:
    left.leave("node", "wallet")
    kept, private = adoptable(left.listeners, left.handed, wanted=("node",))
    assert kept.keys() == {"node"}
    assert private.ends.keys() == {"to-node", "at-node"}
