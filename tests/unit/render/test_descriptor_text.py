"""Descriptors as parameters: what is read at all."""

import pytest

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.descriptor_text import MOST_READ, parse_descriptors

#: Makes any text be refused once it is read.
BAD_SUM = "#x"
KEY = "[d34db33f/48h/0h/0h/2h]" + "x" * 111


def refusal(text: str) -> str:
    with pytest.raises(RpcError) as refused:
        parse_descriptors(text, "regtest")
    assert refused.value.code == RpcCode.INVALID_ADDRESS_OR_KEY
    return refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        "raw(" + "51" * (MOST_READ // 2) + ")",
        f"tr({KEY},multi_a(1,{','.join([KEY] * 100_000)}))",
        f"wpkh({KEY}/<{';'.join(map(str, range(1000)))}>/*)",
        f"wpkh({KEY}/<{';'.join('1' * 1000)}>/<{';'.join('1' * 100)}>/*)",
    ],
)
def test_what_would_keep_everybody_waiting_is_not_read(text: str) -> None:
    assert "is too long: at most 300000 for all paths are read" in refusal(text + BAD_SUM)


@pytest.mark.parametrize(
    "text",
    [
        "raw(" + "51" * 10_000 + ")",
        f"tr({KEY},multi_a(1,{','.join([f'{KEY}/<0;1>/*'] * 999)}))",
        f"wpkh({KEY}/<{';'.join(map(str, range(100)))}>/*)",
    ],
)
def test_whatever_can_be_spent_is(text: str) -> None:
    assert refusal(text + BAD_SUM) == "Expected 8 character checksum, not 1 characters"
