"""``mempool.dat``: the mempool on disk in Bitcoin Core's format (``src/node/mempool_persist.cpp``).

A version (2; 1 has no key), an eight-byte key, and XORed with it: the number of transactions, each with its time of
entry and fee delta, then the deltas of transactions that aren't there, then the txids that no peer has asked for.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from struct import Struct
from struct import error as StructError

from btclib import var_int
from btclib.exceptions import BTClibException
from btclib.obfuscation import KEY_SIZE, obfuscate, parse_key, serialize_key
from btclib.tx import Tx

from bitcoind_mp.config.state import sync_directory

_VERSION_WITHOUT_KEY = 1
_VERSION = 2
_COUNT = Struct("<Q")
_AMOUNT = Struct("<q")
_ENTRY = Struct("<qq")
_TXID = Struct("32s")
#: Transactions written between two calls of write(2).
_BATCH = 500


class DumpDamaged(ValueError):
    """The file isn't a mempool dump, or is cut short."""


@dataclass(frozen=True)
class DumpEntry:
    """A transaction, its time of entry and its fee delta in satoshis."""

    tx: Tx
    time: int
    delta: int


@dataclass
class Dump:
    """What a file holds. ``deltas`` are of transactions that aren't in it; txids in display order."""

    entries: list[DumpEntry] = field(default_factory=list)
    deltas: dict[bytes, int] = field(default_factory=dict)
    unbroadcast: list[bytes] = field(default_factory=list)


def read_dump(path: Path) -> Dump:
    """Read a file of either version. One that is cut short gives what it has, as in Core, by way of `DumpDamaged`.

    Raises:
        DumpDamaged: it isn't a dump.
        OSError: it can't be read.
    """
    data = path.read_bytes()
    dump = Dump()
    try:
        stream = _plain(data)
        (count,) = _COUNT.unpack(stream.read(_COUNT.size))
        for _ in range(count):
            tx = Tx.parse(stream, check_validity=False)
            dump.entries.append(DumpEntry(tx, *_ENTRY.unpack(stream.read(_ENTRY.size))))
        for _ in range(var_int.parse(stream)):
            txid = _txid(stream)
            (dump.deltas[txid],) = _AMOUNT.unpack(stream.read(_AMOUNT.size))
        for _ in range(var_int.parse(stream)):
            dump.unbroadcast.append(_txid(stream))
    except (BTClibException, StructError) as error:
        if not dump.entries:
            raise DumpDamaged(f"{path} is not a mempool dump: {error}") from None
    return dump


def _txid(stream: BytesIO) -> bytes:
    (txid,) = _TXID.unpack(stream.read(_TXID.size))
    return bytes(txid[::-1])


def _plain(data: bytes) -> BytesIO:
    (version,) = _COUNT.unpack_from(data)
    if version == _VERSION_WITHOUT_KEY:
        return BytesIO(data[_COUNT.size :])
    if version != _VERSION:
        raise DumpDamaged(f"version {version}")
    key = parse_key(data[_COUNT.size : _COUNT.size + 1 + KEY_SIZE])
    start = _COUNT.size + 1 + KEY_SIZE
    return BytesIO(obfuscate(data[start:], key, start))


def write_dump(
    path: Path,
    entries: Sequence[tuple[bytes, int, int]],
    deltas: Mapping[bytes, int],
    unbroadcast: Sequence[bytes],
    key: bytes,
) -> None:
    """Write ``path`` anew, or leave it as it is: by way of ``path.new`` and a rename, synced.

    ``entries`` are (raw with witnesses, time, delta), ``deltas`` of transactions that aren't among them, ``key`` eight
    random bytes.

    Raises:
        OSError: no room; the file is as it was.
    """
    path = path.resolve()
    new = path.with_name(path.name + ".new")
    try:
        with new.open("wb") as file:
            file.write(_COUNT.pack(_VERSION) + serialize_key(key))
            for part in _parts(entries, deltas, unbroadcast):
                file.write(obfuscate(part, key, file.tell()))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _parts(
    entries: Sequence[tuple[bytes, int, int]], deltas: Mapping[bytes, int], unbroadcast: Sequence[bytes]
) -> Iterator[bytes]:
    yield _COUNT.pack(len(entries))
    for start in range(0, len(entries), _BATCH):
        yield b"".join(raw + _ENTRY.pack(time, delta) for raw, time, delta in entries[start : start + _BATCH])
    # in Core's order: by the bytes on the wire
    wire = sorted((txid[::-1], delta) for txid, delta in deltas.items())
    yield var_int.serialize(len(wire)) + b"".join(txid + _AMOUNT.pack(delta) for txid, delta in wire)
    yield var_int.serialize(len(unbroadcast)) + b"".join(sorted(txid[::-1] for txid in unbroadcast))
