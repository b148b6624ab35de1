"""PSBTs read, written, signed, combined, finalized and extracted, by Core's vectors."""

from collections.abc import Iterator
from typing import Any

import pytest
import vectors

from bitcoind_mp.render.address import decode_secret
from bitcoind_mp.signing import psbt as roles
from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.signing.psbt_combine import combine
from bitcoind_mp.signing.psbt_reader import PsbtDecodeError, decode_psbt
from bitcoind_mp.signing.psbt_writer import encode_psbt

pytestmark = vectors.needed


@pytest.fixture
def cases() -> Iterator[dict[str, Any]]:
    yield vectors.core_data("rpc_psbt.json")


def test_valid_ones_are_read_and_written_back(cases: dict[str, Any]) -> None:
    for text in cases["valid"]:
        written = encode_psbt(decode_psbt(text))  # without what a finalized input needs no more
        assert encode_psbt(decode_psbt(written)) == written


def test_invalid_ones_are_refused(cases: dict[str, Any]) -> None:
    for text in cases["invalid"]:
        with pytest.raises(PsbtDecodeError):
            decode_psbt(text)


def test_invalid_ones_are_refused_in_cores_words(cases: dict[str, Any]) -> None:
    for text, words in cases["invalid_with_msg"]:
        with pytest.raises(PsbtDecodeError) as caught:
            decode_psbt(text)
        assert words in str(caught.value)


def test_the_signatures_are_cores(cases: dict[str, Any]) -> None:
    for case in cases["signer"]:
        psbt, keys = decode_psbt(case["psbt"]), KeyStore()
        for text in case["privkeys"]:
            secret, compressed = decode_secret(text, "regtest") or (b"", False)
            keys.add_secret(secret, compressed=compressed)
        for index in range(len(psbt.inputs)):
            roles.sign_input(psbt, index, keys, finalize=False)
        assert encode_psbt(psbt) == case["result"]


def test_they_are_combined(cases: dict[str, Any]) -> None:
    for case in cases["combiner"]:
        combined = combine([decode_psbt(text) for text in case["combine"]])
        assert combined is not None
        assert encode_psbt(combined) == case["result"]


def test_they_are_finalized(cases: dict[str, Any]) -> None:
    for case in cases["finalizer"]:
        psbt = decode_psbt(case["finalize"])
        assert roles.finalize(psbt)
        assert encode_psbt(psbt) == case["result"]


def test_the_transaction_is_extracted(cases: dict[str, Any]) -> None:
    for case in cases["extractor"]:
        tx = roles.extract(decode_psbt(case["extract"]))
        assert tx.serialize(include_witness=True).hex() == case["result"]
