"""One map of a PSBT, read with the checks that several fields share (``src/psbt.h``)."""

from collections.abc import Callable

from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut
from btclib_secp256k1.keys import pubkey_verify

from bitcoind_mp.render.stream import Stream, StreamFault

_COMPRESSED = 33
_PROPRIETARY = 0xFC


class PsbtStream(Stream):
    """``unknown`` has for each map the fields that version 0 doesn't know and btclib may: kept as what nobody knows.
    ``outputs`` and ``transactions`` have, by the number of their map, coins that btclib would refuse for their amounts,
    ``preimages``, by map and name of the hash, those that it would hash.
    """

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.unknown: list[dict[bytes, bytes]] = []
        self.outputs: dict[int, TxOut] = {}
        self.transactions: dict[int, Tx] = {}
        self.preimages: dict[tuple[int, str], dict[bytes, bytes]] = {}
        self._cuts: list[tuple[int, int, bytes]] = []

    def set_aside(self, start: int, key: bytes) -> None:
        """The field that began at ``start``, whose value follows, is unknown."""
        self.unknown[-1][key] = self.vector()
        self._cuts.append((start, self.at, b""))

    def set_aside_output(self, start: int, output: TxOut) -> None:
        """The field that began at ``start`` and has just been read is one of ``outputs``. With an amount of -1 it is
        none at all to Core (``CTxOut::IsNull``)."""
        if output.value != -1:
            self.outputs[len(self.unknown) - 1] = output
        self._cuts.append((start, self.at, b""))

    def set_aside_transaction(self, start: int, tx: Tx) -> None:
        """The same for ``transactions``."""
        self.transactions[len(self.unknown) - 1] = tx
        self._cuts.append((start, self.at, b""))

    def set_aside_preimage(self, start: int, name: str, hash: bytes) -> None:
        """The field that began at ``start``, whose value follows, is one of ``preimages``."""
        self.preimages.setdefault((len(self.unknown) - 1, name), {})[hash] = self.vector()
        self._cuts.append((start, self.at, b""))

    def replace(self, start: int, field: bytes) -> None:
        """Put another field where the one stands that began at ``start`` and has just been read."""
        self._cuts.append((start, self.at, field))

    def remainder(self, raw: bytes) -> bytes:
        """The bytes without what was set aside, and with what replaces it."""
        kept, at = [], 0
        for start, stop, instead in self._cuts:
            kept += [raw[at:start], instead]
            at = stop
        return b"".join([*kept, raw[at:]])


class PsbtMap:
    """One map being read: which keys there were, and the checks that several fields share."""

    def __init__(self, reader: PsbtStream, separator_fault: str) -> None:
        self.reader = reader
        self.seen: set[bytes] = set()
        self.field_start = 0
        self._separator_fault = separator_fault

    def read(self, field: Callable[[int, bytes], object]) -> None:
        self.reader.unknown.append({})
        while self.reader.left:
            start = self.field_start = self.reader.at
            key = self.reader.vector()
            if not key:
                return
            kind = Stream(key).compact_size()
            if kind == _PROPRIETARY:
                self._proprietary(key)
            elif field(kind, key) is NotImplemented:
                self.once(key, "key for unknown value")
                self.reader.set_aside(start, key)
        raise StreamFault(self._separator_fault)

    def once(self, key: bytes, what: str) -> None:
        if key in self.seen:
            raise StreamFault(f"Duplicate Key, {what} already provided")
        self.seen.add(key)

    def single(self, key: bytes, what: str, name: str) -> None:
        """A field that occurs once, its key being its type alone."""
        self.once(key, what)
        if len(key) != 1:
            raise StreamFault(f"{name} key is more than one byte type")

    def _proprietary(self, key: bytes) -> None:
        inner = Stream(key)
        inner.compact_size()
        inner.vector()
        inner.compact_size()
        if key in self.seen:
            raise StreamFault("Duplicate Key, proprietary key already found")
        self.seen.add(key)
        self.reader.vector()

    def public_key(self, key: bytes, fault: str, duplicate: str) -> None:
        """A key whose data is a public key of either form."""
        if len(key) not in (1 + _COMPRESSED, 1 + 65):
            raise StreamFault(fault)
        if not valid_key(key[1:]):
            raise StreamFault("Invalid pubkey")
        self.once(key, duplicate)

    def taproot_derivation(self, key: bytes, side: str) -> None:
        self.once(key, f"{side.lower()} Taproot BIP32 keypath")
        if len(key) != 33:
            raise StreamFault(f"{side} Taproot BIP32 keypath key is not at 33 bytes")
        size = self.reader.compact_size()
        before = self.reader.left
        for _ in range(self.reader.compact_size()):
            self.reader.read(32)
        used = before - self.reader.left
        if used > size:
            raise StreamFault(f"{side} Taproot BIP32 keypath has an invalid length")
        self.origin(size - used)

    def origin(self, size: int) -> None:
        if size % 4 or not size:
            raise StreamFault("Invalid length for HD key path")
        self.reader.read(size)

    def participants(self, key: bytes, side: str) -> None:
        self.once(key, f"{side.lower()} participant pubkeys for an aggregate key")
        if len(key) != 1 + _COMPRESSED:
            raise StreamFault(f"{side} musig2 participants pubkeys aggregate key is not 34 bytes")
        if not valid_key(key[1:]):
            raise StreamFault(f"{side} musig2 aggregate pubkey is invalid")
        value = self.reader.vector()
        whole = len(value) - len(value) % _COMPRESSED
        for start in range(0, whole, _COMPRESSED):
            if not valid_key(value[start : start + _COMPRESSED]):
                raise StreamFault(f"{side} musig2 participant pubkey is invalid")
        if whole != len(value):
            raise StreamFault(f"{side} musig2 participants pubkeys value size is not a multiple of 33")

    def musig2(self, key: bytes, what: str) -> None:
        self.once(key, f"input musig2 {what}")
        if len(key) not in (67, 99):
            raise StreamFault(f"Input musig2 {what} key is not expected size of 67 or 99 bytes")
        if not valid_key(key[34:67]):
            raise StreamFault("musig2 aggregate pubkey is invalid")
        if not valid_key(key[1:34]):
            raise StreamFault("musig2 participant pubkey is invalid")


def valid_key(sec: bytes) -> bool:
    """``CPubKey::IsFullyValid``: the length that its first byte says, and a point of the curve."""
    size = {2: 33, 3: 33, 4: 65, 6: 65, 7: 65}.get(sec[0] if sec else 0)
    return size == len(sec) and pubkey_verify(sec)
