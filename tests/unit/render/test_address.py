"""Addresses and keys as text, by Core's vectors and with the words of its refusals."""

import pytest
import vectors

from bitcoind_mp.render.address import base58_payload, decode_destination, decode_secret, encode_address

CHAINS = ("main", "test", "testnet4", "signet", "regtest")


@vectors.needed
def test_valid_addresses_and_keys_are_read() -> None:
    for text, payload, facts in vectors.core_data("key_io_valid.json"):
        chain = facts["chain"]
        if facts["isPrivkey"]:
            assert decode_secret(text, chain) == (bytes.fromhex(payload), facts["isCompressed"])
            assert decode_destination(text, chain).script is None
            continue
        script = bytes.fromhex(payload)
        assert decode_destination(text, chain).script == script
        assert encode_address(script, chain) is not None
        assert decode_secret(text, chain) is None
        flipped = decode_destination(text.swapcase(), chain).script
        assert flipped == (script if facts.get("tryCaseFlip") else None)


@vectors.needed
def test_invalid_addresses_and_keys_are_refused_on_every_chain() -> None:
    for (text,) in vectors.core_data("key_io_invalid.json"):
        for chain in CHAINS:
            assert decode_destination(text, chain).script is None, text
            assert decode_secret(text, chain) is None, text


@pytest.mark.parametrize("space", [" ", "\t", "\n", "\v", "\f", "\r"])
def test_space_around_base58_is_skipped_as_core_does(space: str) -> None:
    payload = base58_payload("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", 21)
    assert payload is not None
    assert base58_payload(f"{space}1BoatSLRHtKNngkdXEeobR76b53LETtpyT{space}", 21) == payload
    assert base58_payload("\xa01BoatSLRHtKNngkdXEeobR76b53LETtpyT", 21) is None


def test_no_more_bytes_than_wanted_are_given() -> None:
    assert base58_payload("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", 20) is None
