"""A PSBT from its text, refused with the words that Core has for each fault (``Unserialize``, ``src/psbt.h``).

btclib reads the maps; it has its own words. So the bytes are walked first as Core walks them, which finds the first
fault in Core's order, and read by btclib when there is none. Core reads version 0 alone, and so does this.
"""

import base64
import binascii
from collections.abc import Callable

from btclib import var_bytes
from btclib.exceptions import BTClibValueError
from btclib.script.script_pub_key import ScriptPubKey
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut
from btclib_wallet.psbt import Psbt, PsbtIn, PsbtOut

from bitcoind_mp.interfaces.amounts import MAX_MONEY
from bitcoind_mp.render.stream import IOSTREAM, Stream, StreamFault

from .psbt_map import PsbtMap, PsbtStream, valid_key

_MAGIC = b"psbt\xff"


class PsbtDecodeError(ValueError):
    """No PSBT; the text is Core's."""


def decode_psbt(text: str) -> Psbt:
    """Read Base64 (``DecodeBase64PSBT``).

    Raises:
        PsbtDecodeError
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = None
    if raw is None or base64.b64encode(raw).decode() != text:
        raise PsbtDecodeError("invalid base64")
    return parse_psbt(raw)


def parse_psbt(raw: bytes) -> Psbt:
    """Read the bytes (``DecodeRawPSBT``).

    Raises:
        PsbtDecodeError
    """
    reader = PsbtStream(raw)
    try:
        tx = _walk(reader)
    except StreamFault as fault:
        raise PsbtDecodeError(f"{fault}{IOSTREAM}") from None
    if reader.left:
        raise PsbtDecodeError("extra data after PSBT")
    try:
        psbt = Psbt.parse(reader.remainder(raw), check_validity=False)
    except BTClibValueError as error:
        raise PsbtDecodeError(str(error)) from error
    maps: list[Psbt | PsbtIn | PsbtOut] = [psbt, *psbt.inputs, *psbt.outputs]
    for map, unknown in zip(maps, reader.unknown, strict=True):
        map.unknown = {**map.unknown, **unknown}
    for number, psbt_in in enumerate(psbt.inputs, 1):
        psbt_in.witness_utxo = reader.outputs.get(number, psbt_in.witness_utxo)
        psbt_in.non_witness_utxo = reader.transactions.get(number, psbt_in.non_witness_utxo)
    for (number, name), preimages in reader.preimages.items():
        setattr(psbt.inputs[number - 1], f"{name}_preimages", preimages)
    for psbt_out, tx_out in zip(psbt.outputs, tx.vout, strict=True):
        psbt_out.amount = tx_out.value
    return psbt


def _walk(reader: PsbtStream) -> Tx:
    if reader.read(5) != _MAGIC:
        raise StreamFault("Invalid PSBT magic bytes")
    tx = _global(reader)
    inputs = 0
    while reader.left and inputs < len(tx.vin):
        utxo = _input(reader)
        outpoint = tx.vin[inputs].prev_out
        if utxo is not None:
            if utxo.id != outpoint.tx_id:
                raise StreamFault("Non-witness UTXO does not match outpoint hash")
            if outpoint.vout >= len(utxo.vout):
                raise StreamFault("Input specifies output index that does not exist")
        inputs += 1
    if inputs != len(tx.vin):
        raise StreamFault("Inputs provided does not match the number of inputs in transaction.")
    outputs = 0
    while reader.left and outputs < len(tx.vout):
        _output(reader)
        outputs += 1
    if outputs != len(tx.vout):
        raise StreamFault("Outputs provided does not match the number of outputs in transaction.")
    return tx


def _global(reader: PsbtStream) -> Tx:
    map = PsbtMap(reader, "Separator is missing at the end of the global map")
    found: list[Tx] = []

    def field(kind: int, key: bytes) -> object:
        if kind == 0x00:
            map.single(key, "unsigned tx", "Global unsigned tx")
            reader.sized(lambda r: found.append(r.transaction(witness=False)))
            if any(tx_in.script_sig for tx_in in found[0].vin):
                raise StreamFault("Unsigned tx does not have empty scriptSigs and scriptWitnesses.")
            if not _pays_money(found[0]):
                reader.replace(map.field_start, _field(key, _without_amounts(found[0])))
        elif kind == 0x01:
            if len(key) != 79:
                raise StreamFault("Size of key was not the expected size for the type global xpub")
            if not valid_key(key[46:]):
                raise StreamFault("Invalid pubkey")
            if key in map.seen:
                raise StreamFault("Duplicate key, global xpub already provided")
            map.seen.add(key)
            map.origin(reader.compact_size())
        elif kind == 0xFB:
            map.single(key, "version", "Global version")
            if int.from_bytes(reader.sized(lambda r: r.read(4)), "little"):
                raise StreamFault("Unsupported version number")
        else:
            return NotImplemented
        return None

    map.read(field)
    if not found:
        raise StreamFault("No unsigned transaction was provided")
    return found[0]


#: type: (what is given twice, name where the key has data, None for any value or what reads it)
_SINGLE_INPUT_FIELDS: dict[int, tuple[str, str, Callable[[Stream], object] | None]] = {
    0x03: ("input sighash type", "Sighash type", lambda r: r.read(4)),
    0x04: ("input redeemScript", "Input redeemScript", None),
    0x05: ("input witnessScript", "Input witnessScript", None),
    0x07: ("input final scriptSig", "Final scriptSig", None),
    0x08: (
        "input final scriptWitness",
        "Final scriptWitness",
        lambda r: [r.vector() for _ in range(r.compact_size())],
    ),
    0x17: ("input Taproot internal key", "Input Taproot internal key", lambda r: r.read(32)),
    0x18: ("input Taproot merkle root", "Input Taproot merkle root", lambda r: r.read(32)),
}
_ANYONE_CAN_PAY = 0x80
_HASH_TYPES = (1, 2, 3)
_PREIMAGES = {0x0A: ("ripemd160", 20), 0x0B: ("sha256", 32), 0x0C: ("hash160", 20), 0x0D: ("hash256", 32)}


def _input(reader: PsbtStream) -> Tx | None:
    map = PsbtMap(reader, "Separator is missing at the end of an input map")
    utxo: list[Tx] = []

    def field(kind: int, key: bytes) -> object:
        if kind == 0x00:
            map.single(key, "input non-witness utxo", "Non-witness utxo")
            reader.sized(lambda r: utxo.append(r.transaction(witness=True)))
            if not _pays_money(utxo[0]):
                reader.set_aside_transaction(map.field_start, utxo[0])
        elif kind == 0x01:
            map.single(key, "input witness utxo", "Witness utxo")
            value, script = reader.sized(lambda r: (int.from_bytes(r.read(8), "little", signed=True), r.vector()))
            if not _is_money(value):
                output = TxOut(value, ScriptPubKey(script, check_validity=False), check_validity=False)
                reader.set_aside_output(map.field_start, output)
        elif kind in _SINGLE_INPUT_FIELDS:
            what, name, parse = _SINGLE_INPUT_FIELDS[kind]
            map.single(key, what, name)
            if parse is None:
                reader.vector()
            else:
                reader.sized(parse)
        elif kind == 0x02:
            map.public_key(
                key,
                "Size of key was not the expected size for the type partial signature pubkey",
                "input partial signature for pubkey",
            )
            signature = reader.vector()
            try:
                PsbtIn(partial_sigs={key[1:]: signature})
            except BTClibValueError:
                raise StreamFault("Signature is not a valid encoding") from None
            if signature[-1] & ~_ANYONE_CAN_PAY not in _HASH_TYPES:
                raise StreamFault("Signature is not a valid encoding")
        elif kind == 0x06:
            _derivation(map, key)
        elif kind in _PREIMAGES:
            name, size = _PREIMAGES[kind]
            if len(key) != 1 + size:
                raise StreamFault(f"Size of key was not the expected size for the type {name} preimage")
            map.once(key, f"input {name} preimage")
            reader.set_aside_preimage(map.field_start, name, key[1:])
        elif kind in (0x13, 0x14, 0x15, 0x16):
            _taproot_input(map, kind, key)
        elif kind == 0x1A:
            map.participants(key, "Input")
        elif kind == 0x1B:
            map.musig2(key, "pubnonce")
            if len(reader.vector()) != 66:
                raise StreamFault("Input musig2 pubnonce value is not 66 bytes")
        elif kind == 0x1C:
            map.musig2(key, "partial sig")
            reader.sized(lambda r: r.read(32))
        else:
            return NotImplemented
        return None

    map.read(field)
    return utxo[0] if utxo else None


def _without_amounts(tx: Tx) -> bytes:
    outputs = [TxOut(0, output.script_pub_key, check_validity=False) for output in tx.vout]
    bare = Tx(tx.version, tx.lock_time, tx.vin, outputs, check_validity=False)
    return bare.serialize(include_witness=False, check_validity=False)


def _field(key: bytes, value: bytes) -> bytes:
    return var_bytes.serialize(key) + var_bytes.serialize(value)


def _pays_money(tx: Tx) -> bool:
    amounts = [output.value for output in tx.vout]
    return all(_is_money(amount) for amount in (*amounts, sum(amounts)))


def _is_money(value: int) -> bool:
    return 0 <= value <= MAX_MONEY


def _derivation(map: PsbtMap, key: bytes) -> None:
    map.public_key(key, "Size of key was not the expected size for the type BIP32 keypath", "pubkey derivation path")
    map.origin(map.reader.compact_size())


def _taproot_input(map: PsbtMap, kind: int, key: bytes) -> None:
    if kind == 0x13:
        map.single(key, "input Taproot key signature", "Input Taproot key signature")
        _schnorr_size(map.reader.vector(), "key")
    elif kind == 0x14:
        map.once(key, "input Taproot script signature")
        if len(key) != 65:
            raise StreamFault("Input Taproot script signature key is not 65 bytes")
        _schnorr_size(map.reader.vector(), "script")
    elif kind == 0x15:
        map.once(key, "input Taproot leaf script")
        if len(key) < 34:
            raise StreamFault("Taproot leaf script key is not at least 34 bytes")
        if (len(key) - 2) % 32:
            raise StreamFault("Input Taproot leaf script key's control block size is not valid")
        if not map.reader.vector():
            raise StreamFault("Input Taproot leaf script must be at least 1 byte")
    else:
        map.taproot_derivation(key, "Input")


def _schnorr_size(signature: bytes, path: str) -> None:
    if not 64 <= len(signature) <= 65:
        word = "shorter than 64" if len(signature) < 64 else "longer than 65"
        raise StreamFault(f"Input Taproot {path} path signature is {word} bytes")


def _output(reader: PsbtStream) -> None:
    map = PsbtMap(reader, "Separator is missing at the end of an output map")

    def field(kind: int, key: bytes) -> object:
        if kind in (0x00, 0x01):
            name = "redeemScript" if kind == 0x00 else "witnessScript"
            map.single(key, f"output {name}", f"Output {name}")
            reader.vector()
        elif kind == 0x02:
            _derivation(map, key)
        elif kind == 0x05:
            map.single(key, "output Taproot internal key", "Output Taproot internal key")
            reader.sized(lambda r: r.read(32))
        elif kind == 0x06:
            map.single(key, "output Taproot tree", "Output Taproot tree")
            _tree(reader.vector())
        elif kind == 0x07:
            map.taproot_derivation(key, "Output")
        elif kind == 0x08:
            map.participants(key, "Output")
        else:
            return NotImplemented
        return None

    map.read(field)


def _tree(value: bytes) -> None:
    reader = Stream(value)
    if not reader.left:
        raise StreamFault("Output Taproot tree must not be empty")
    open_at: list[bool] = []  # which depths have a left branch waiting for its right one
    whole = True
    while reader.left:
        depth, version = reader.read(1)[0], reader.read(1)[0]
        reader.vector()
        if depth > 128:
            raise StreamFault("Output Taproot tree has as leaf greater than Taproot maximum depth")
        if version & 1:
            raise StreamFault("Output Taproot tree has a leaf with an invalid leaf version")
        if not whole or depth + 1 < len(open_at):
            whole = False
            continue
        while len(open_at) > depth and open_at[depth]:
            open_at.pop()
            if depth == 0:
                whole = False
            depth -= 1
        open_at += [False] * (depth + 1 - len(open_at))
        if depth >= 0:
            open_at[depth] = True
    if not whole or open_at != [True]:
        raise StreamFault("Output Taproot tree is malformed")
