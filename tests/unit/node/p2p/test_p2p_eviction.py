"""Who gives way to a new caller."""

from dataclasses import replace

from bitcoind_mp.node.p2p.eviction import Candidate, select


def caller(number: int, **about: object) -> Candidate:
    plain = Candidate(
        number=number,
        connected=1000 + number,
        best_ping=None,
        last_block=0,
        last_transaction=0,
        serves_blocks=True,
        wants_transactions=True,
        network=b"\x0a\x00",
        secret=b"\x00",
        local=False,
        discouraged=False,
    )
    return replace(plain, **about)  # type: ignore[arg-type]


def test_few_are_all_kept() -> None:
    assert select([]) is None
    assert select([caller(number) for number in range(20)]) is None


def test_of_many_alike_the_youngest_goes() -> None:
    assert select([caller(number) for number in range(40)]) == 39


def test_who_is_worth_something_stays() -> None:
    crowd = [caller(number) for number in range(60)]
    for worthy in (
        {"best_ping": 0.001},
        {"last_block": 5},
        {"last_transaction": 5},
        {"connected": 1},
        {"secret": b"\xff"},
        {"wants_transactions": False, "last_block": 1},
    ):
        gone = select([*crowd[:-1], replace(crowd[-1], **worthy)])  # type: ignore[arg-type]
        assert gone is not None
        assert gone != 59


def test_the_network_with_most_loses_its_youngest() -> None:
    crowd = [caller(number, network=b"\xff") for number in range(60)]
    crowd += [caller(number, network=bytes([number])) for number in range(60, 70)]
    assert select(crowd) == 59


def test_who_misbehaved_goes_first() -> None:
    crowd = [caller(number, discouraged=number == 45) for number in range(60)]
    assert select(crowd) == 45


def test_some_on_this_computer_stay_though_they_are_young() -> None:
    crowd = [caller(number, local=number >= 58) for number in range(60)]
    assert select(crowd) == 57
