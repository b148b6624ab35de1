"""The kernel's database of coins (``chainstate/``), read from a copy made while the kernel was closed.

Format: Core's ``src/txdb.cpp``, ``src/dbwrapper.cpp`` and ``src/coins.h``: the key ``C``, txid, index as ``VARINT``;
the value obfuscated with the database's own key, then height and coinbase bit, compressed amount, compressed script.
"""

import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import plyvel
from btclib.compressor import decompress_amount, parse_script, parse_varint, serialize_varint
from btclib.script.script_pub_key import ScriptPubKey
from btclib.tx.coin import Coin
from btclib.tx.tx_out import TxOut

from .snapshot import remove, snapshot

_COIN = b"C"
_BEST_BLOCK = b"B"
_HEAD_BLOCKS = b"H"
_OBFUSCATION = b"\x0e\x00obfuscate_key"
_TXID = 32

OutPoint = tuple[bytes, int]


class CoinDatabase:
    """A copy of the coins as they were at ``best_block`` (display order; None: there is no database yet).

    Reading it is safe on any thread.
    """

    def __init__(self, copy: Path) -> None:
        self._path = copy
        self._holders = 1
        self._lock = threading.Lock()
        self._database: plyvel.DB | None = None
        self._key = b""
        self.best_block: bytes | None = None
        if not copy.exists():
            return
        self._database = plyvel.DB(str(copy), bloom_filter_bits=10, max_open_files=256, lru_cache_size=16 << 20)
        self._key = (self._database.get(_OBFUSCATION) or b"")[1:]
        best = self._get(_BEST_BLOCK)
        self.best_block = best[::-1] if best else None

    @property
    def interrupted(self) -> bool:
        """A flush was cut short: the kernel must repair its database, so open and close it, and copy again."""
        return self._database is not None and self._database.get(_HEAD_BLOCKS) is not None

    def get(self, outpoint: OutPoint) -> Coin | None:
        """The coin at ``best_block``, None if it was spent or never was."""
        value = self._get(_COIN + outpoint[0][::-1] + serialize_varint(outpoint[1], 32))
        return parse_coin(value) if value is not None else None

    def coins(self) -> Iterator[tuple[bytes, int, Coin]]:
        """(txid, index, coin) for every coin, in the order of the keys: by txid as stored, then index."""
        if self._database is None:
            return
        for key, value in self._database.iterator(prefix=_COIN):
            index = parse_varint(key[1 + _TXID :], 32)
            yield key[_TXID:0:-1], index, parse_coin(self._plain(value))

    @property
    def approximate_size(self) -> int:
        """Bytes on disk, by LevelDB's own estimate."""
        return int(self._database.approximate_size(_COIN, b"D")) if self._database is not None else 0

    def hold(self) -> None:
        """Keep it open, whatever others do, for one `close` more."""
        with self._lock:
            self._holders += 1

    def close(self) -> None:
        """Let go of the copy; the last holder removes it."""
        with self._lock:
            self._holders -= 1
            if self._holders:
                return
        if self._database is not None:
            self._database.close()
            self._database = None
        remove(self._path)

    @staticmethod
    def discard(path: Path) -> None:
        """Remove a copy that a process which was killed left behind."""
        remove(path)

    def _get(self, key: bytes) -> bytes | None:
        value = self._database.get(key) if self._database is not None else None
        return self._plain(value) if value is not None else None

    def _plain(self, value: bytes) -> bytes:
        if not any(self._key):
            return value
        size = len(value)
        pad = (self._key * (size // len(self._key) + 1))[:size]
        return (int.from_bytes(value, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")


def copy_coins(directory: Path, target: Path) -> CoinDatabase:
    """Copy ``chainstate/`` of the data directory to ``target`` and open the copy. The kernel must be closed."""
    snapshot(directory / "chainstate", target)
    return CoinDatabase(target)


def parse_coin(value: bytes) -> Coin:
    """A coin as the database stores it (``Coin::Unserialize``)."""
    stream = BytesIO(value)
    code = parse_varint(stream, 32)
    amount = decompress_amount(parse_varint(stream, 64))
    script = ScriptPubKey(parse_script(stream), check_validity=False)
    return Coin(TxOut(amount, script, check_validity=False), code >> 1, bool(code & 1), check_validity=False)
