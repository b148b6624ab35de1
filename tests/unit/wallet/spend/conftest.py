"""Coins and groups out of thin air, for selection tests."""

import itertools
from collections.abc import Callable, Iterable

import pytest

from bitcoind_mp.wallet.coins import OutPoint, OutputType
from bitcoind_mp.wallet.spend.candidates import Candidate
from bitcoind_mp.wallet.spend.groups import Group
from bitcoind_mp.wallet.spend.rates import fee_for

_numbers = itertools.count(1)

#: virtual bytes of a pay-to-witness-key-hash input and output
INPUT, OUTPUT = 68, 31

MakeCoin = Callable[..., Candidate]
MakePool = Callable[..., list[Group]]


@pytest.fixture
def make_coin() -> MakeCoin:
    """A coin whose effective value is ``worth`` satoshis at ``rate``."""

    def make(
        worth: int,
        *,
        rate: int = 5000,
        long_term_rate: int = 10_000,
        vsize: int = INPUT,
        depth: int = 6,
        kind: OutputType | None = OutputType.BECH32,
        script: bytes = b"",
        from_me: bool = False,
        bump_fee: int = 0,
        ancestors: int = 0,
        cluster: int = 0,
    ) -> Candidate:
        number = next(_numbers)
        plain = Candidate(
            outpoint=OutPoint(number.to_bytes(32, "big"), 0),
            amount=worth + fee_for(rate, vsize) + bump_fee,
            script=script or b"\x00\x14" + number.to_bytes(20, "big"),
            kind=kind,
            depth=depth,
            vsize=vsize,
            from_me=from_me,
            ancestors=ancestors,
            cluster=cluster,
        )
        return plain.priced(rate, long_term_rate, bump_fee)

    return make


@pytest.fixture
def make_pool(make_coin: MakeCoin) -> MakePool:
    """Groups of one coin each, by their effective values."""

    def make(worths: Iterable[int], *, subtract_fee: bool = False, **options: int) -> list[Group]:
        return [Group((make_coin(worth, **options),), subtract_fee) for worth in worths]

    return make
