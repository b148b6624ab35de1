"""Script failures in Core's words: every script of Core's own tests, and every relay flag."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from btclib.exceptions import ScriptErrorCode
from btclib.hashes import sha256
from btclib.policy import is_witness_standard
from btclib.script.engine import ALL_FLAGS, NO_FLAGS, ScriptFlag, to_script_flags
from btclib.script.script import BYTE_FROM_OP_CODE_NAME
from btclib.script.taproot import leaf_hash, output_pubkey_from_merkle_root_var
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxIn, TxOut
from btclib.utils import encode_num

from bitcoind_mp.node.kernel import verify_scripts
from bitcoind_mp.node.mempool.rejected import Kind, Rejected
from bitcoind_mp.node.mempool.scripts import STANDARD_FLAGS, Scripts, check_policy

#: a point nobody knows the key of (BIP341)
NOBODY = bytes.fromhex("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")
#: how Core's test data calls what Core's code calls otherwise
NAMES = {"NULLFAIL": "SIG_NULLFAIL"}
COIN = 100_000_000


def push(data: bytes) -> bytes:
    if len(data) < 0x4C:
        return bytes([len(data)]) + data
    if len(data) <= 0xFF:
        return b"\x4c" + bytes([len(data)]) + data
    return b"\x4d" + len(data).to_bytes(2, "little") + data


def assemble(text: str) -> bytes:
    """Core's notation for scripts in tests (``ParseScript``, ``src/core_io.cpp``)."""
    script = b""
    for word in text.split():
        if re.fullmatch(r"-?\d+", word):
            number = int(word)
            if number == -1 or 1 <= number <= 16:
                script += bytes([0x50 + number])
            elif number == 0:
                script += b"\x00"
            else:
                script += push(encode_num(number))
        elif word.startswith("0x"):
            script += bytes.fromhex(word[2:])
        elif word.startswith("'"):
            script += push(word[1:-1].encode())
        else:
            script += BYTE_FROM_OP_CODE_NAME["OP_" + word.removeprefix("OP_")]
    return script


def spend(script_sig: bytes, script: bytes, witness: list[bytes], value: int) -> tuple[Tx, list[TxOut]]:
    """The two transactions of Core's script tests."""
    credit = Tx(
        1,
        0,
        [TxIn(OutPoint(), b"\x00\x00", 0xFFFFFFFF, check_validity=False)],
        [TxOut(value, script)],
        check_validity=False,
    )
    tx_in = TxIn(OutPoint(credit.id, 0), script_sig, 0xFFFFFFFF, Witness(witness))
    return Tx(1, 0, [tx_in], [TxOut(value, b"")], check_validity=False), credit.vout


def with_taproot(words: list[str]) -> tuple[list[bytes], str]:
    """The witness and output key of a vector that leaves its script tree to be filled in."""
    leaf = next((assemble(word.removeprefix("#SCRIPT# ")) for word in words if word.startswith("#SCRIPT#")), b"")
    key, parity = output_pubkey_from_merkle_root_var(NOBODY, leaf_hash(0xC0, leaf))
    control = bytes([0xC0 + parity]) + NOBODY
    witness = []
    for word in words:
        if word.startswith("#SCRIPT#"):
            witness.append(leaf)
        else:
            witness.append(control if word == "#CONTROLBLOCK#" else bytes.fromhex(word))
    return witness, key.hex()


def script_vectors(vectors: Path) -> Iterator[tuple[Tx, list[TxOut], ScriptFlag, str]]:
    for row in json.loads((vectors / "core-data" / "script_tests.json").read_text()):
        if len(row) == 1:
            continue
        witness, value, key = [], 0, ""
        if isinstance(row[0], list):
            *words, amount = row.pop(0)
            value = round(amount * COIN)
            witness, key = with_taproot(words)
        tx, spent = spend(assemble(row[0]), assemble(row[1].replace("#TAPROOTOUTPUT#", "0x" + key)), witness, value)
        yield tx, spent, to_script_flags(row[2]), row[3]


def outcome(tx: Tx, spent: list[TxOut], flags: ScriptFlag) -> str:
    """Core's text for the script error, empty for none."""
    try:
        check_policy(tx, tx.hash, spent, flags)
    except Rejected as rejected:
        found = re.fullmatch(r"mempool-script-verify-flag-failed \((.*)\)", rejected.reason)
        assert found is not None
        return found[1]
    return ""


def test_every_script_of_cores_fails_with_cores_words(vectors: Path) -> None:
    seen = set()
    for tx, spent, flags, name in script_vectors(vectors):
        code = ScriptErrorCode[NAMES.get(name, name)]
        # the engine has no BASE without P2SH: Core's harness adds it where it would assert
        if ScriptFlag.WITNESS in flags or ScriptFlag.CLEANSTACK in flags:
            flags |= ScriptFlag.P2SH | ScriptFlag.WITNESS
        expected = "" if code is ScriptErrorCode.OK else code.description
        assert outcome(tx, spent, flags) == expected, (tx, flags, name)
        seen.add(code)
    assert len(seen) == 40


def transaction_vectors(path: Path) -> Iterator[tuple[Tx, list[TxOut], str]]:
    for row in json.loads(path.read_text()):
        if len(row) == 3:
            coins = {}
            for txid, index, script, *amount in row[0]:
                coins[(txid, index & 0xFFFFFFFF)] = TxOut(amount[0] if amount else 0, assemble(script))
            tx = Tx.parse(bytes.fromhex(row[1]), check_validity=False)
            if row[2] != "BADTX":
                yield tx, [coins[(i.prev_out.tx_id.hex(), i.prev_out.vout)] for i in tx.vin], row[2]


def test_cores_invalid_transactions_fail_under_their_flags(vectors: Path) -> None:
    count = 0
    for tx, spent, flags in transaction_vectors(vectors / "core-data" / "tx_invalid.json"):
        assert outcome(tx, spent, to_script_flags(flags)), (tx, flags)
        count += 1
    assert count == 84


def test_cores_valid_transactions_pass_without_the_flags_they_break(vectors: Path) -> None:
    count = 0
    for tx, spent, excluded in transaction_vectors(vectors / "core-data" / "tx_valid.json"):
        flags = (STANDARD_FLAGS | ScriptFlag.SIGPUSHONLY) & ~to_script_flags(excluded)
        if ScriptFlag.WITNESS not in flags or ScriptFlag.P2SH not in flags:
            flags &= ~(ScriptFlag.CLEANSTACK | ScriptFlag.WITNESS)
        assert outcome(tx, spent, flags & ~ScriptFlag.SIGPUSHONLY) == "", (tx, excluded)
        count += 1
    assert count == 121


def leaf_spend(leaf: bytes, *stack: bytes, version: int = 0xC0) -> tuple[Tx, list[TxOut]]:
    """A taproot output spent by the one script in its tree."""
    key, parity = output_pubkey_from_merkle_root_var(NOBODY, leaf_hash(version, leaf))
    return spend(b"", b"\x51\x20" + key, [*stack, leaf, bytes([version + parity]) + NOBODY], COIN)


def program_spend(leaf: bytes, *stack: bytes) -> tuple[Tx, list[TxOut]]:
    return spend(b"", b"\x00\x20" + sha256(leaf), [*stack, leaf], COIN)


PUBKEY = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
BAD_SIGNATURE = bytes.fromhex("3006020101020101") + b"\x01"
HIGH_S = (
    bytes.fromhex(
        "3026020101022100fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd036413f"  # s = order - 2
    )
    + b"\x01"
)

#: for each relay flag something that breaks it alone, and what Core says then
BROKEN = {
    ScriptFlag.STRICTENC: (
        spend(push(BAD_SIGNATURE[:-1] + b"\x05"), push(PUBKEY) + b"\xac\x91", [], COIN),
        "SIG_HASHTYPE",
    ),
    ScriptFlag.LOW_S: (spend(push(HIGH_S), push(PUBKEY) + b"\xac\x91", [], COIN), "SIG_HIGH_S"),
    ScriptFlag.MINIMALDATA: (spend(b"\x01\x05", b"\x55\x87", [], COIN), "MINIMALDATA"),
    ScriptFlag.DISCOURAGE_UPGRADABLE_NOPS: (spend(b"", b"\x51\xb0", [], COIN), "DISCOURAGE_UPGRADABLE_NOPS"),
    ScriptFlag.CLEANSTACK: (spend(b"\x51", b"\x51", [], COIN), "CLEANSTACK"),
    ScriptFlag.MINIMALIF: (program_spend(b"\x63\x51\x68", b"\x02"), "MINIMALIF"),
    ScriptFlag.NULLFAIL: (spend(push(BAD_SIGNATURE), push(PUBKEY) + b"\xac\x91", [], COIN), "SIG_NULLFAIL"),
    ScriptFlag.DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM: (
        spend(b"", b"\x52\x02\x01\x02", [], COIN),
        "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM",
    ),
    ScriptFlag.WITNESS_PUBKEYTYPE: (
        program_spend(push(b"\x04" + b"\x01" * 64) + b"\xac\x91", b""),
        "WITNESS_PUBKEYTYPE",
    ),
    ScriptFlag.CONST_SCRIPTCODE: (spend(b"", b"\xab\x51", [], COIN), "OP_CODESEPARATOR"),
    ScriptFlag.DISCOURAGE_UPGRADABLE_TAPROOT_VERSION: (
        leaf_spend(b"\x51", version=0xC2),
        "DISCOURAGE_UPGRADABLE_TAPROOT_VERSION",
    ),
    ScriptFlag.DISCOURAGE_OP_SUCCESS: (leaf_spend(b"\x50"), "DISCOURAGE_OP_SUCCESS"),
    ScriptFlag.DISCOURAGE_UPGRADABLE_PUBKEYTYPE: (
        leaf_spend(b"\x02\x07\x07\xac", b"\x01"),
        "DISCOURAGE_UPGRADABLE_PUBKEYTYPE",
    ),
}


@pytest.mark.parametrize("flag", BROKEN, ids=lambda flag: flag.name)
def test_each_relay_flag_refuses_what_consensus_takes(flag: ScriptFlag) -> None:
    (tx, spent), name = BROKEN[flag]
    assert outcome(tx, spent, ALL_FLAGS) == ""
    assert outcome(tx, spent, ALL_FLAGS | flag) == ScriptErrorCode[name].description
    assert outcome(tx, spent, STANDARD_FLAGS) == ScriptErrorCode[name].description
    assert outcome(tx, spent, STANDARD_FLAGS & ~flag) in ("", *_other_faults(flag))


def _other_faults(flag: ScriptFlag) -> list[str]:
    """A failed signature is refused for more than one thing at once."""
    signature = (ScriptFlag.STRICTENC, ScriptFlag.LOW_S)
    return [ScriptErrorCode.SIG_NULLFAIL.description] if flag in signature else []


def test_there_is_a_case_for_every_relay_flag() -> None:
    assert {flag for flag in ScriptFlag if flag in STANDARD_FLAGS and flag not in ALL_FLAGS} == set(BROKEN)


@pytest.fixture
def scripts() -> Iterator[Callable[..., Scripts]]:
    made: list[Scripts] = []

    def make(verify: Any = verify_scripts) -> Scripts:
        made.append(Scripts(verify))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_the_kernel_has_the_last_word(scripts: Callable[..., Scripts]) -> None:
    tx, spent = program_spend(b"\x51")
    checks = scripts(lambda tx, raw, spent: 0)
    with pytest.raises(Rejected) as refused:
        asyncio.run(checks.check(tx, tx.serialize(include_witness=True), tx.hash, spent))
    assert refused.value.reason == "block-script-verify-flag-failed (unknown error)"
    assert refused.value.kind is Kind.CONSENSUS
    assert not checks.passed(tx.hash)


def test_what_no_block_may_hold_is_refused_without_asking_the_engine_of_every_input(
    scripts: Callable[..., Scripts],
) -> None:
    """It takes twenty milliseconds for each of 850, which a peer could have us do again and again."""
    frowned_on, false = b"\xb9\x51", b"\x00"
    spent = [TxOut(COIN, b"\x00\x20" + sha256(script)) for script in (frowned_on, false)]
    inputs = [
        TxIn(OutPoint(bytes([n + 1]) * 32, 0), b"", 0xFFFFFFFF, Witness([script]))
        for n, script in enumerate((frowned_on, false))
    ]
    tx = Tx(2, 0, inputs, [TxOut(COIN, b"")], check_validity=False)
    with pytest.raises(Rejected) as refused:
        asyncio.run(scripts().check(tx, tx.serialize(include_witness=True), tx.hash, spent))
    assert refused.value.reason == f"mempool-script-verify-flag-failed ({ScriptErrorCode.EVAL_FALSE.description})"
    assert refused.value.details.startswith("input 1 of ")


def test_what_has_passed_is_not_checked_again(scripts: Callable[..., Scripts]) -> None:
    asked = []

    def verify(tx: Tx, raw: bytes, spent: list[TxOut]) -> int | None:
        asked.append(tx.hash)
        return verify_scripts(tx, raw, spent)

    checks = scripts(verify)
    tx, spent = program_spend(b"\x51")
    raw = tx.serialize(include_witness=True)

    async def twice() -> None:
        await checks.check(tx, raw, tx.hash, spent)
        await checks.check(tx, raw, tx.hash, spent)

    asyncio.run(twice())
    assert asked == [tx.hash]


def test_a_failure_names_the_input_and_what_it_spends() -> None:
    tx, spent = program_spend(b"\x00")
    with pytest.raises(Rejected) as refused:
        check_policy(tx, tx.hash, spent)
    point = tx.vin[0].prev_out
    assert refused.value.details == (
        f"input 0 of {tx.id.hex()} (wtxid {tx.hash.hex()}), spending {point.tx_id.hex()}:0"
    )
    assert refused.value.kind is Kind.NOT_STANDARD


def test_a_missing_witness_is_told_apart() -> None:
    """Peers may have stripped it: the transaction as such isn't to be remembered as bad."""
    tx, spent = program_spend(b"\x51")
    tx.vin[0].script_witness = Witness()
    with pytest.raises(Rejected) as refused:
        check_policy(tx, tx.hash, spent)
    assert refused.value.kind is Kind.WITNESS_STRIPPED


def test_no_flag_at_all_takes_anything_true() -> None:
    tx, spent = spend(b"", b"\x51\xb0", [b"\x01"], COIN)
    assert outcome(tx, spent, NO_FLAGS) == ""
    assert not is_witness_standard(spent, tx)
