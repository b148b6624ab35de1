"""Private keys out of descriptors and back in."""

import pytest
from btclib.b58 import prv_key_data_from_wif, wif_from_prv_key

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.signing.descriptor_keys import private_keys, private_text
from bitcoind_mp.wallet.addressing.descriptor_text import output_type, read, unsafe_delays
from bitcoind_mp.wallet.coins import OutputType

XPRV = "tprv8ZgxMBicQKsPdBNKLoqKtUH2KdteQ3DGBFyUggY8i5Qi1v6km9UHTcEr8z9Ca3gGkvTDQY55k717u8WkF4JTpPN2dvmSnsC8VihU8YeVv3y"
XPUB = "tpubD6NzVbkrYhZ4WeQ7ETVvHsw8tfQaZNQAkZaFyCaS8MD6rQMXPYHsPqryWJ2ZkqGhnL5QQZvPT4rD9L8ZbYnb1a9YCmTf9zLKMRAPnU5hrX4"
WIF = wif_from_prv_key(7, "regtest")
OTHER_WIF = wif_from_prv_key(8, "regtest", False)
SECRETS = [
    f"wpkh({XPRV}/84h/1h/0h/0/*)",
    f"pkh([deadbeef/44h]{XPRV}/0/*)",
    f"tr({XPRV}/86h/0/*,pk({WIF}))",
    f"sh(wpkh({WIF}))",
    f"pkh({OTHER_WIF})",
    f"wsh(multi(1,{WIF},{XPRV}/1/2/*))",
    f"tr({WIF})",
    f"wsh(and_v(v:pk({WIF}),older(10)))",
    f"wpkh({XPRV}/0h/*h)",
]


def only(text):
    (found,) = read(text, "regtest")
    return found


@pytest.mark.parametrize("text", SECRETS)
def test_the_public_text_holds_no_secret_and_gets_it_back(text):
    found = only(text)
    assert XPRV not in found.text
    assert WIF not in found.text
    assert OTHER_WIF not in found.text
    assert private_text(found.text, found.secrets).partition("#")[0] == text
    assert only(private_text(found.text, found.secrets)) == found


@pytest.mark.parametrize("text", SECRETS)
def test_the_private_keys_of_an_index_belong_to_its_public_keys(text):
    found = only(text)
    keys = private_keys(found.parsed, 3 if found.parsed.is_ranged else 0, found.secrets)
    assert keys
    for public, secret in keys.items():
        wif = wif_from_prv_key(int.from_bytes(secret, "big"), "regtest", len(public) == 33)
        assert prv_key_data_from_wif(wif).pub.sec == public


def test_normalizing_moves_hardened_steps_into_the_origin():
    found = only(SECRETS[0])
    assert found.normalized is not None
    assert "/84h/1h/0h]tpub" in found.normalized
    assert only(found.normalized).parsed.script_pub_key(5) == found.parsed.script_pub_key(
        5, {**found.secrets.by_public}
    )


def test_a_hardened_step_without_its_private_key_can_not_be_derived():
    public = only(SECRETS[0]).text
    assert only(public).normalized is None
    assert only(only(SECRETS[8]).text).normalized is None


def test_a_multipath_descriptor_is_several():
    receive, change = read(f"wpkh({XPRV}/0/<0;1>/*)", "regtest")
    assert receive.text.startswith("wpkh(tpub")
    assert "/0/0/*" in receive.text
    assert "/0/1/*" in change.text
    assert receive.secrets == change.secrets


def test_core_words_for_what_is_wrong():
    with pytest.raises(RpcError) as refusal:
        read("wpkh(nonsense)#abcdefgh", "regtest")
    assert refusal.value.code == -5
    with pytest.raises(RpcError, match="Missing checksum"):
        read(SECRETS[0], "regtest", require_checksum=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"pkh({WIF})", OutputType.LEGACY),
        (f"sh(wpkh({WIF}))", OutputType.P2SH_SEGWIT),
        (f"sh(wsh(pk({WIF})))", OutputType.P2SH_SEGWIT),
        (f"sh(pk({WIF}))", OutputType.LEGACY),
        (f"wpkh({WIF})", OutputType.BECH32),
        (f"wsh(multi(1,{WIF}))", OutputType.BECH32),
        (f"tr({WIF})", OutputType.BECH32M),
        (f"pk({WIF})", None),
        (f"combo({WIF})", None),
        (f"multi(1,{WIF})", None),
        ("addr(bcrt1qrp5rsmwwrsk6zq8jyzkhsl9gq97nmphp6r8zw7)", OutputType.BECH32),
        ("addr(mnKaRDRzBZYZWTVpS7SWgFBnNuqjLXYbZY)", OutputType.LEGACY),
        ("raw(6a)", None),
    ],
)
def test_each_kind_has_cores_address_type(text, expected):
    assert output_type(only(text).parsed) == expected


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (65_535, []),
        (1 << 22 | 65_535, []),
        (65_536, ["height-based relative locktime: older(65536) > 65535 blocks is unsafe"]),
        (1 << 22 | 65_536, ["time-based relative locktime: older(4259840) > (65535 * 512) seconds is unsafe"]),
    ],
)
def test_a_delay_that_is_cut_short_is_told(number, words):
    assert unsafe_delays(f"wsh(and_v(v:pk({'02' + '11' * 32}),older({number})))") == words
