"""Fee arithmetic and how amounts and rates are written."""

import pytest

from bitcoind_mp.wallet.spend.rates import (
    compact_size,
    dust_limit,
    fee_for,
    is_dust,
    money,
    output_size,
    rate_of,
    sat_per_vb,
    vsize_of,
)


@pytest.mark.parametrize(
    ("rate", "vsize", "fee"),
    [(0, 1000, 0), (1, 1, 1), (1000, 141, 141), (1001, 141, 142), (999, 1, 1), (20_000, 110, 2200), (123, 9999, 1230)],
)
def test_a_fee_is_rounded_up(rate, vsize, fee) -> None:
    assert fee_for(rate, vsize) == fee


def test_a_rate_is_rounded_down() -> None:
    assert rate_of(1000, 141) == 7092
    assert rate_of(1, 3) == 333
    assert rate_of(5, 0) == 0


def test_a_weight_is_rounded_up() -> None:
    assert [vsize_of(weight) for weight in (0, 1, 4, 5, 561)] == [0, 1, 1, 2, 141]


def test_sizes_of_counts() -> None:
    assert [compact_size(count) for count in (0, 252, 253, 65535, 65536, 1 << 32)] == [1, 1, 3, 3, 5, 9]
    assert output_size(b"\x00" * 22) == 31


@pytest.mark.parametrize(
    ("script", "limit"),
    [
        (b"\x76\xa9\x14" + bytes(20) + b"\x88\xac", 546),
        (b"\xa9\x14" + bytes(20) + b"\x87", 540),
        (b"\x00\x14" + bytes(20), 294),
        (b"\x51\x20" + bytes(32), 330),
        (b"\x6a\x01x", 0),
    ],
)
def test_dust_limits_are_those_everybody_knows(script, limit) -> None:
    assert dust_limit(script, 3000) == limit
    assert not is_dust(limit, script, 3000)
    assert is_dust(limit - 1, script, 3000)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00"),
        (1, "0.00000001"),
        (100, "0.000001"),
        (10_000_000, "0.10"),
        (100_000_000, "1.00"),
        (123_456_789, "1.23456789"),
        (-150_000_000, "-1.50"),
    ],
)
def test_money_is_written_with_two_decimals_at_least(amount, text) -> None:
    assert money(amount) == text


def test_rates_are_written_in_satoshis_for_a_virtual_byte() -> None:
    assert [sat_per_vb(rate) for rate in (1, 999, 1000, 12_345)] == [
        "0.001 sat/vB",
        "0.999 sat/vB",
        "1.000 sat/vB",
        "12.345 sat/vB",
    ]
