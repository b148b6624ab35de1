"""Sizes foretold, against sizes known. The numbers are what Core's descriptors answer for the same scripts."""

import pytest
from btclib.hashes import hash160, sha256
from btclib_wallet.descriptors import parse

from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.wallet.spend.rates import vsize_of
from bitcoind_mp.wallet.spend.sizes import InputSize, Satisfaction, satisfaction, transaction_size

KEYS = [
    "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
    "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
]
UNCOMPRESSED = (
    "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
)


def of(text: str, *, max_signature: bool = False) -> Satisfaction | None:
    descriptor = parse(text.format(*KEYS, u=UNCOMPRESSED), "regtest")
    known = KeyStore()
    known.add(descriptor.provider(0))
    return satisfaction(descriptor.script_pub_key(0).script, known, max_signature=max_signature)


@pytest.mark.parametrize(
    ("descriptor", "vsize"),
    [
        ("pkh({0})", 148),
        ("pkh({u})", 180),
        ("sh(wpkh({0}))", 91),
        ("wpkh({0})", 68),
        ("tr({0})", 58),
        ("rawtr({0})", 58),
        ("pk({0})", 114),
        ("multi(1,{0},{1})", 115),
        ("sh(multi(1,{0},{1}))", 187),
        ("sh(sortedmulti(2,{0},{1},{2}))", 293),
        ("wsh(multi(2,{0},{1},{2}))", 104),
        ("sh(wsh(multi(2,{0},{1},{2})))", 139),
        ("wsh(pk({0}))", 69),
        ("wsh(or_d(pk({0}),and_v(v:pkh({1}),older(3))))", 85),
    ],
)
def test_an_input_is_as_large_as_core_says(descriptor, vsize) -> None:
    found = of(descriptor)
    assert found is not None
    assert vsize_of(found.input_weight(tx_is_segwit=True)) == vsize


def test_a_signature_that_may_not_be_ground_takes_a_byte_more() -> None:
    for descriptor, more in (("pkh({0})", 4), ("wpkh({0})", 1), ("wsh(multi(2,{0},{1},{2}))", 2), ("tr({0})", 0)):
        usual, largest = of(descriptor), of(descriptor, max_signature=True)
        assert usual is not None
        assert largest is not None
        assert largest.weight - usual.weight == more


def test_what_is_not_known_cannot_be_solved() -> None:
    nothing = KeyStore()
    sec = bytes.fromhex(KEYS[0])
    for script in (
        b"\x76\xa9\x14" + hash160(sec) + b"\x88\xac",
        b"\xa9\x14" + hash160(sec) + b"\x87",
        b"\x00\x14" + hash160(sec),
        b"\x00\x20" + sha256(sec),
        b"\x6a\x00",
        b"\x51\x02\x4e\x73",
        b"",
    ):
        assert satisfaction(script, nothing) is None


def test_an_uncompressed_key_is_no_use_in_segwit() -> None:
    known = KeyStore()
    sec = bytes.fromhex(UNCOMPRESSED)
    known.add_public(sec)
    witness_script = b"\x41" + sec + b"\xac"
    known.add_script(witness_script)
    assert satisfaction(b"\x00\x14" + hash160(sec), known) is None
    assert satisfaction(b"\x00\x20" + sha256(witness_script), known) is None
    assert satisfaction(witness_script, known) is not None


def test_a_witness_elsewhere_costs_a_legacy_input_one_unit() -> None:
    legacy, segwit = of("pkh({0})"), of("wpkh({0})")
    assert legacy is not None
    assert segwit is not None
    assert legacy.input_weight(True) == legacy.input_weight(False) + 1
    assert segwit.input_weight(True) == segwit.input_weight(False)


def test_a_transaction_is_the_sum_of_its_parts() -> None:
    p2wpkh = b"\x00\x14" + bytes(20)
    known = InputSize(p2wpkh, of("wpkh({0})"))
    size = transaction_size([known], [p2wpkh, p2wpkh])
    assert size is not None
    assert (size.weight, size.vsize) == (562 - 1, 141)
    weighed = transaction_size([InputSize(p2wpkh, None, 1_000)], [p2wpkh])
    assert weighed is not None
    assert weighed.weight == 10 * 4 + 2 + 31 * 4 + 1_000
    assert transaction_size([InputSize(p2wpkh, None)], [p2wpkh]) is None
