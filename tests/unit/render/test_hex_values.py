"""Hex as a parameter."""

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.render.hex_values import hex_bytes, public_key

SEC = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


def test_digits_in_pairs_and_nothing_else_are_bytes() -> None:
    assert hex_bytes("00fFa0") == b"\x00\xff\xa0"
    for text in ("", "0", "0g", "00 ff", " 00", "00\n", "\u0660\u0660", "0x00"):
        assert hex_bytes(text) is None, text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "must be a hex string"),
        (SEC[:-2], "must have a length of either 33 or 65 bytes"),
        ("05" + SEC[2:], "must be cryptographically valid."),
        ("04" + SEC[2:], "must be cryptographically valid."),
        ("02" + "ff" * 32, "must be cryptographically valid."),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, words: str) -> None:
    assert public_key(SEC) == bytes.fromhex(SEC)
    with pytest.raises(RpcError) as refused:
        public_key(text)
    assert (refused.value.code, refused.value.message) == (-5, f'Pubkey "{text}" {words}')
