"""The deck of faults: all that must be in it, each once in a round, in the order that the seed says."""

import random

from chaos.damage import damages
from chaos.faults import ALL, TEMPLATES, shuffled, signals
from chaos.lifecycle import operations

EVERY = [*signals(), *damages(None, 18444), *operations()]


def targets(kind: str) -> set[str]:
    return {fault.target for fault in EVERY if fault.kind == kind}


def test_each_process_suffers_each_of_these() -> None:
    assert ALL == ("supervisor", "node", "wallet", "signer")
    for kind in (
        "kill -9",
        "kill -9 twice",
        "SIGSTOP, short",
        "SIGSTOP, beyond the watchdog",
        "files can't grow",
        "connections cut",
        "socket file removed",
        "callers hang up",
        "garbage",
        "table torn",
    ):
        assert set(ALL) <= targets(kind), kind
    for kind in ("kill -9 with its unit", "SIGSTOP, its unit killed"):
        assert targets(kind) == set(TEMPLATES)
    assert {"disk full: everything", "reload --exec: supervisor", "garbage: peer port"} <= {str(each) for each in EVERY}


def test_each_comes_once_in_a_round_and_the_seed_says_when() -> None:
    first, again, other = (shuffled(EVERY, random.Random(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(map(str, first)) == sorted(map(str, EVERY))
    assert len(set(map(str, EVERY))) == len(EVERY)


def test_further_units_suffer_as_the_others_do() -> None:
    more = ("wallet@alice",)
    added = [*signals(more), *damages(None, 18444, more), *operations(more)]
    of_one = {fault.kind for fault in added if fault.target == "wallet@alice"}
    assert of_one == {fault.kind for fault in EVERY if fault.target == "wallet"}
    assert len(added) == len(EVERY) + len(of_one)
