"""A PSBT from its text, refused with the words that Core has for each fault (``Unserialize``, ``src/psbt.h``).

btclib reads the maps; it has its own words. So the bytes are walked first as Core walks them, which finds the first
fault in Core's order, and read by btclib when there is none. Core reads version 0 alone, and so does this.
"""

import base64
import binascii
from collections.abc import Callable
from io import BytesIO

from btclib.exceptions import BTClibValueError
from btclib.tx.tx import Tx
from btclib_secp256k1.keys import pubkey_verify
from btclib_wallet.psbt import Psbt, PsbtIn, PsbtOut

_MAGIC = b"psbt\xff"
_COMPRESSED = 33
_PROPRIETARY = 0xFC


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
    reader = _Reader(raw)
    try:
        _walk(reader)
    except _Fault as fault:
        raise PsbtDecodeError(f"{fault}: iostream error") from None
    if reader.left:
        raise PsbtDecodeError("extra data after PSBT")
    try:
        psbt = Psbt.parse(reader.without_unknown(raw), check_validity=False)
    except BTClibValueError as error:
        raise PsbtDecodeError(str(error)) from error
    maps: list[Psbt | PsbtIn | PsbtOut] = [psbt, *psbt.inputs, *psbt.outputs]
    for map, unknown in zip(maps, reader.unknown, strict=True):
        map.unknown = {**map.unknown, **unknown}
    return psbt


class _Fault(Exception):
    """What is wrong, without the suffix that the C++ library gives it."""


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self.stream = BytesIO(raw)
        self._size = len(raw)
        #: for each map, the fields that version 0 doesn't know and btclib may: kept as what nobody knows
        self.unknown: list[dict[bytes, bytes]] = []
        self._cuts: list[tuple[int, int]] = []

    def set_aside(self, start: int, key: bytes) -> None:
        """The field that began at ``start``, whose value follows, is unknown."""
        self.unknown[-1][key] = self.vector()
        self._cuts.append((start, self.stream.tell()))

    def without_unknown(self, raw: bytes) -> bytes:
        """The bytes without what was set aside."""
        kept, at = [], 0
        for start, stop in self._cuts:
            kept.append(raw[at:start])
            at = stop
        return b"".join([*kept, raw[at:]])

    @property
    def left(self) -> int:
        return self._size - self.stream.tell()

    def read(self, count: int) -> bytes:
        if count > self.left:
            raise _Fault("SpanReader::read(): end of data")
        return self.stream.read(count)

    def compact_size(self) -> int:
        first = self.read(1)[0]
        width = {253: 2, 254: 4, 255: 8}.get(first, 0)
        size = int.from_bytes(self.read(width), "little") if width else first
        if width and size < {2: 253, 4: 0x10000, 8: 0x100000000}[width]:
            raise _Fault("non-canonical ReadCompactSize()")
        if size > 0x02000000:
            raise _Fault("ReadCompactSize(): size too large")
        return size

    def vector(self) -> bytes:
        return self.read(self.compact_size())

    def sized(self, parse: Callable[["_Reader"], object]) -> object:
        """A value whose length is stated before it (``UnserializeFromVector``)."""
        size = self.compact_size()
        before = self.left
        value = parse(self)
        if before - self.left != size:
            raise _Fault("Size of value was not the stated size")
        return value

    def transaction(self, *, witness: bool) -> Tx:
        parse = Tx.parse if witness else Tx.parse_without_witness
        try:
            return parse(self.stream, check_validity=False)
        except BTClibValueError as error:
            words = str(error)
            if "superfluous" in words:
                raise _Fault("Superfluous witness record") from error
            if "unknown transaction optional data" in words:
                raise _Fault("Unknown transaction optional data") from error
            raise _Fault("SpanReader::read(): end of data") from error


Value = Callable[[_Reader, bytes], object]


class _Map:
    """One map being read: which keys there were, and the checks that several fields share."""

    def __init__(self, reader: _Reader, separator_fault: str) -> None:
        self.reader = reader
        self.seen: set[bytes] = set()
        self._separator_fault = separator_fault

    def read(self, field: Callable[[int, bytes], object]) -> None:
        self.reader.unknown.append({})
        while self.reader.left:
            start = self.reader.stream.tell()
            key = self.reader.vector()
            if not key:
                return
            kind = _Reader(key).compact_size()
            if kind == _PROPRIETARY:
                self._proprietary(key)
            elif field(kind, key) is NotImplemented:
                self.once(key, "key for unknown value")
                self.reader.set_aside(start, key)
        raise _Fault(self._separator_fault)

    def once(self, key: bytes, what: str) -> None:
        if key in self.seen:
            raise _Fault(f"Duplicate Key, {what} already provided")
        self.seen.add(key)

    def single(self, key: bytes, what: str, name: str) -> None:
        """A field that occurs once, its key being its type alone."""
        self.once(key, what)
        if len(key) != 1:
            raise _Fault(f"{name} key is more than one byte type")

    def _proprietary(self, key: bytes) -> None:
        inner = _Reader(key)
        inner.compact_size()
        inner.vector()
        inner.compact_size()
        if key in self.seen:
            raise _Fault("Duplicate Key, proprietary key already found")
        self.seen.add(key)
        self.reader.vector()

    def public_key(self, key: bytes, fault: str, duplicate: str) -> None:
        """A key whose data is a public key of either form."""
        if len(key) not in (1 + _COMPRESSED, 1 + 65):
            raise _Fault(fault)
        if not _valid_key(key[1:]):
            raise _Fault("Invalid pubkey")
        self.once(key, duplicate)

    def taproot_derivation(self, key: bytes, side: str) -> None:
        self.once(key, f"{side.lower()} Taproot BIP32 keypath")
        if len(key) != 33:
            raise _Fault(f"{side} Taproot BIP32 keypath key is not at 33 bytes")
        size = self.reader.compact_size()
        before = self.reader.left
        for _ in range(self.reader.compact_size()):
            self.reader.read(32)
        used = before - self.reader.left
        if used > size:
            raise _Fault(f"{side} Taproot BIP32 keypath has an invalid length")
        self.origin(size - used)

    def origin(self, size: int) -> None:
        if size % 4 or not size:
            raise _Fault("Invalid length for HD key path")
        self.reader.read(size)

    def participants(self, key: bytes, side: str) -> None:
        self.once(key, f"{side.lower()} participant pubkeys for an aggregate key")
        if len(key) != 1 + _COMPRESSED:
            raise _Fault(f"{side} musig2 participants pubkeys aggregate key is not 34 bytes")
        if not _valid_key(key[1:]):
            raise _Fault(f"{side} musig2 aggregate pubkey is invalid")
        value = self.reader.vector()
        whole = len(value) - len(value) % _COMPRESSED
        for start in range(0, whole, _COMPRESSED):
            if not _valid_key(value[start : start + _COMPRESSED]):
                raise _Fault(f"{side} musig2 participant pubkey is invalid")
        if whole != len(value):
            raise _Fault(f"{side} musig2 participants pubkeys value size is not a multiple of 33")

    def musig2(self, key: bytes, what: str) -> None:
        self.once(key, f"input musig2 {what}")
        if len(key) not in (67, 99):
            raise _Fault(f"Input musig2 {what} key is not expected size of 67 or 99 bytes")
        if not _valid_key(key[34:67]):
            raise _Fault("musig2 aggregate pubkey is invalid")
        if not _valid_key(key[1:34]):
            raise _Fault("musig2 participant pubkey is invalid")


def _walk(reader: _Reader) -> None:
    if reader.read(5) != _MAGIC:
        raise _Fault("Invalid PSBT magic bytes")
    tx = _global(reader)
    inputs = 0
    while reader.left and inputs < len(tx.vin):
        utxo = _input(reader)
        outpoint = tx.vin[inputs].prev_out
        if utxo is not None:
            if utxo.id != outpoint.tx_id:
                raise _Fault("Non-witness UTXO does not match outpoint hash")
            if outpoint.vout >= len(utxo.vout):
                raise _Fault("Input specifies output index that does not exist")
        inputs += 1
    if inputs != len(tx.vin):
        raise _Fault("Inputs provided does not match the number of inputs in transaction.")
    outputs = 0
    while reader.left and outputs < len(tx.vout):
        _output(reader)
        outputs += 1
    if outputs != len(tx.vout):
        raise _Fault("Outputs provided does not match the number of outputs in transaction.")


def _global(reader: _Reader) -> Tx:
    map = _Map(reader, "Separator is missing at the end of the global map")
    found: list[Tx] = []

    def field(kind: int, key: bytes) -> object:
        if kind == 0x00:
            map.single(key, "unsigned tx", "Global unsigned tx")
            reader.sized(lambda r: found.append(r.transaction(witness=False)))
            if any(tx_in.script_sig for tx_in in found[0].vin):
                raise _Fault("Unsigned tx does not have empty scriptSigs and scriptWitnesses.")
        elif kind == 0x01:
            if len(key) != 79:
                raise _Fault("Size of key was not the expected size for the type global xpub")
            if not _valid_key(key[46:]):
                raise _Fault("Invalid pubkey")
            if key in map.seen:
                raise _Fault("Duplicate key, global xpub already provided")
            map.seen.add(key)
            map.origin(reader.compact_size())
        elif kind == 0xFB:
            map.single(key, "version", "Global version")
            if int.from_bytes(reader.sized(lambda r: r.read(4)), "little"):  # type: ignore[arg-type]
                raise _Fault("Unsupported version number")
        else:
            return NotImplemented
        return None

    map.read(field)
    if not found:
        raise _Fault("No unsigned transaction was provided")
    return found[0]


#: type: (what is given twice, name where the key has data, None for any value or what reads it)
_SINGLE_INPUT_FIELDS: dict[int, tuple[str, str, Callable[[_Reader], object] | None]] = {
    0x01: ("input witness utxo", "Witness utxo", lambda r: (r.read(8), r.vector())),
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
_PREIMAGES = {0x0A: ("ripemd160", 20), 0x0B: ("sha256", 32), 0x0C: ("hash160", 20), 0x0D: ("hash256", 32)}


def _input(reader: _Reader) -> Tx | None:
    map = _Map(reader, "Separator is missing at the end of an input map")
    utxo: list[Tx] = []

    def field(kind: int, key: bytes) -> object:
        if kind == 0x00:
            map.single(key, "input non-witness utxo", "Non-witness utxo")
            reader.sized(lambda r: utxo.append(r.transaction(witness=True)))
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
                raise _Fault("Signature is not a valid encoding") from None
        elif kind == 0x06:
            _derivation(map, key)
        elif kind in _PREIMAGES:
            name, size = _PREIMAGES[kind]
            if len(key) != 1 + size:
                raise _Fault(f"Size of key was not the expected size for the type {name} preimage")
            map.once(key, f"input {name} preimage")
            reader.vector()
        elif kind in (0x13, 0x14, 0x15, 0x16):
            _taproot_input(map, kind, key)
        elif kind == 0x1A:
            map.participants(key, "Input")
        elif kind == 0x1B:
            map.musig2(key, "pubnonce")
            if len(reader.vector()) != 66:
                raise _Fault("Input musig2 pubnonce value is not 66 bytes")
        elif kind == 0x1C:
            map.musig2(key, "partial sig")
            reader.sized(lambda r: r.read(32))
        else:
            return NotImplemented
        return None

    map.read(field)
    return utxo[0] if utxo else None


def _derivation(map: _Map, key: bytes) -> None:
    map.public_key(key, "Size of key was not the expected size for the type BIP32 keypath", "pubkey derivation path")
    map.origin(map.reader.compact_size())


def _taproot_input(map: _Map, kind: int, key: bytes) -> None:
    if kind == 0x13:
        map.single(key, "input Taproot key signature", "Input Taproot key signature")
        _schnorr_size(map.reader.vector(), "key")
    elif kind == 0x14:
        map.once(key, "input Taproot script signature")
        if len(key) != 65:
            raise _Fault("Input Taproot script signature key is not 65 bytes")
        _schnorr_size(map.reader.vector(), "script")
    elif kind == 0x15:
        map.once(key, "input Taproot leaf script")
        if len(key) < 34:
            raise _Fault("Taproot leaf script key is not at least 34 bytes")
        if (len(key) - 2) % 32:
            raise _Fault("Input Taproot leaf script key's control block size is not valid")
        if not map.reader.vector():
            raise _Fault("Input Taproot leaf script must be at least 1 byte")
    else:
        map.taproot_derivation(key, "Input")


def _schnorr_size(signature: bytes, path: str) -> None:
    if not 64 <= len(signature) <= 65:
        word = "shorter than 64" if len(signature) < 64 else "longer than 65"
        raise _Fault(f"Input Taproot {path} path signature is {word} bytes")


def _output(reader: _Reader) -> None:
    map = _Map(reader, "Separator is missing at the end of an output map")

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
    reader = _Reader(value)
    if not reader.left:
        raise _Fault("Output Taproot tree must not be empty")
    open_at: list[bool] = []  # which depths have a left branch waiting for its right one
    whole = True
    while reader.left:
        depth, version = reader.read(1)[0], reader.read(1)[0]
        reader.vector()
        if depth > 128:
            raise _Fault("Output Taproot tree has as leaf greater than Taproot maximum depth")
        if version & 1:
            raise _Fault("Output Taproot tree has a leaf with an invalid leaf version")
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
        raise _Fault("Output Taproot tree is malformed")


def _valid_key(sec: bytes) -> bool:
    """``CPubKey::IsFullyValid``: the length that its first byte says, and a point of the curve."""
    size = {2: 33, 3: 33, 4: 65, 6: 65, 7: 65}.get(sec[0] if sec else 0)
    return size == len(sec) and pubkey_verify(sec)
