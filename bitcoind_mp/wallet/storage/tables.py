"""The rows of a wallet file: reading and writing them, one class a table. SQL and nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bitcoind_mp.interfaces.chain import BlockRef
from bitcoind_mp.wallet.coins import OutPoint, OutputType
from bitcoind_mp.wallet.transactions import Confirmed, Conflicted, Inactive, InMempool, State, WalletTx

from .ledger import Ledger


@dataclass
class DescriptorRow:
    """See `descriptors.WalletDescriptor`, whose stored part this is."""

    number: int
    text: str
    normalized: str
    created: int
    range_start: int
    range_end: int
    next_index: int


class DescriptorTable:
    """Descriptors, which of them are active, and the scripts derived from them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self) -> list[DescriptorRow]:
        return [DescriptorRow(*row) for row in self._ledger.execute("SELECT * FROM descriptors ORDER BY number")]

    def add(self, text: str, normalized: str, created: int, start: int, end: int, next_index: int) -> DescriptorRow:
        cursor = self._ledger.execute(
            "INSERT INTO descriptors (text, normalized, created, range_start, range_end, next_index) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (text, normalized, created, start, end, next_index),
        )
        return DescriptorRow(cursor.lastrowid or 0, text, normalized, created, start, end, next_index)

    def update(self, row: DescriptorRow) -> None:
        self._ledger.execute(
            "UPDATE descriptors SET normalized = ?, created = ?, range_start = ?, range_end = ?, next_index = ? "
            "WHERE number = ?",
            (row.normalized, row.created, row.range_start, row.range_end, row.next_index, row.number),
        )

    def active(self) -> dict[tuple[OutputType, bool], int]:
        rows = self._ledger.execute("SELECT type, internal, descriptor FROM active")
        return {(OutputType(kind), bool(internal)): number for kind, internal, number in rows}

    def set_active(self, kind: OutputType, internal: bool, number: int | None) -> None:
        if number is None:
            self._ledger.execute("DELETE FROM active WHERE type = ? AND internal = ?", (kind.value, int(internal)))
        else:
            self._ledger.execute("INSERT OR REPLACE INTO active VALUES (?, ?, ?)", (kind.value, int(internal), number))

    def scripts(self) -> Iterator[tuple[int, int, bytes]]:
        return self._ledger.execute("SELECT descriptor, position, script FROM scripts ORDER BY descriptor, position")

    def scripts_at(self, number: int, index: int) -> list[bytes]:
        rows = self._ledger.execute("SELECT script FROM scripts WHERE descriptor = ? AND position = ?", (number, index))
        return [row[0] for row in rows]

    def add_scripts(self, rows: Iterable[tuple[int, int, bytes]]) -> None:
        self._ledger.executemany("INSERT OR IGNORE INTO scripts VALUES (?, ?, ?)", list(rows))

    def add_concrete(self, rows: Iterable[tuple[int, int, bytes, str]]) -> None:
        self._ledger.executemany("INSERT OR IGNORE INTO concrete VALUES (?, ?, ?, ?)", list(rows))

    def concrete_at(self, number: int, index: int) -> dict[bytes, str]:
        rows = self._ledger.execute(
            "SELECT script, text FROM concrete WHERE descriptor = ? AND position = ?", (number, index)
        )
        return dict(rows.fetchall())


class SecretTable:
    """Private keys by their public half: the secret's bytes, and whether they are sealed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self) -> dict[str, tuple[bytes, bool]]:
        rows = self._ledger.execute("SELECT public, secret, sealed FROM secrets")
        return {public: (secret, bool(sealed)) for public, secret, sealed in rows}

    def put(self, public: str, secret: bytes, sealed: bool) -> None:
        self._ledger.execute("INSERT OR REPLACE INTO secrets VALUES (?, ?, ?)", (public, secret, int(sealed)))

    def clear(self) -> None:
        self._ledger.execute("DELETE FROM secrets")


class TransactionTable:
    """The wallet's transactions with their states."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self) -> Iterator[WalletTx]:
        for row in self._ledger.execute(
            "SELECT txid, raw, state, block, height, position, block_time, sequence, received, smart, comment, "
            "comment_to, replaces, replaced_by FROM transactions ORDER BY sequence"
        ):
            yield WalletTx(
                txid=row[0],
                raw=row[1],
                state=_state(row[2], *row[3:7]),
                order=row[7],
                time_received=row[8],
                time_smart=row[9],
                comment=row[10],
                comment_to=row[11],
                replaces=row[12],
                replaced_by=row[13],
            )

    def put(self, tx: WalletTx) -> None:
        name, block, height, position, block_time = _columns(tx.state)
        self._ledger.execute(
            "INSERT OR REPLACE INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(tx.txid, tx.raw, name, block, height, position, block_time, tx.order, tx.time_received),
                *(tx.time_smart, tx.comment, tx.comment_to, tx.replaces, tx.replaced_by),
            ),
        )

    def remove(self, txid: bytes) -> None:
        self._ledger.execute("DELETE FROM transactions WHERE txid = ?", (txid,))


def _columns(state: State) -> tuple[str, bytes | None, int | None, int | None, int | None]:
    match state:
        case Confirmed(block, height, position, time):
            return "confirmed", block, height, position, time
        case Conflicted(block, height):
            return "conflicted", block, height, None, None
        case InMempool():
            return "mempool", None, None, None, None
        case Inactive(abandoned):
            return "abandoned" if abandoned else "inactive", None, None, None, None


def _state(name: str, block: bytes, height: int, position: int, block_time: int) -> State:
    match name:
        case "confirmed":
            return Confirmed(block, height, position, block_time)
        case "conflicted":
            return Conflicted(block, height)
        case "mempool":
            return InMempool()
        case _:
            return Inactive(name == "abandoned")


@dataclass
class AddressEntry:
    """An entry of the address book, by the script that the address stands for.

    ``label`` None: no entry for people, only a note. ``purpose``: ``receive``, ``send`` or empty. ``spent``: a coin on
    it was spent before (kept in ``avoid_reuse`` wallets).
    """

    label: str | None = None
    purpose: str = ""
    spent: bool = False


class AddressTable:
    """The address book."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self) -> dict[bytes, AddressEntry]:
        rows = self._ledger.execute("SELECT script, label, purpose, spent FROM addresses")
        return {script: AddressEntry(label, purpose, bool(spent)) for script, label, purpose, spent in rows}

    def put(self, script: bytes, entry: AddressEntry) -> None:
        self._ledger.execute(
            "INSERT OR REPLACE INTO addresses VALUES (?, ?, ?, ?)",
            (script, entry.label, entry.purpose, int(entry.spent)),
        )


class LockedTable:
    """Coins locked over restarts."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self) -> list[OutPoint]:
        return [OutPoint(*row) for row in self._ledger.execute("SELECT txid, n FROM locked")]

    def add(self, outpoint: OutPoint) -> None:
        self._ledger.execute("INSERT OR IGNORE INTO locked VALUES (?, ?)", outpoint)

    def remove(self, outpoint: OutPoint) -> None:
        self._ledger.execute("DELETE FROM locked WHERE txid = ? AND n = ?", outpoint)


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A block that the wallet has processed."""

    height: int
    hash: bytes
    time: int
    median_time: int

    @classmethod
    def of(cls, block: BlockRef) -> "BlockRow":
        """The row of a block as the node names it."""
        return cls(block.height, bytes.fromhex(block.hash), block.time, block.median_time)


class BlockTable:
    """The newest blocks processed, and older ones ever more thinly: the stuff of locators."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self) -> list[BlockRow]:
        """Oldest first."""
        return [BlockRow(*row) for row in self._ledger.execute("SELECT * FROM blocks ORDER BY height")]

    def put(self, block: BlockRow) -> None:
        self._ledger.execute(
            "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?)",
            (block.height, block.hash, block.time, block.median_time),
        )

    def remove(self, heights: Iterable[int]) -> None:
        self._ledger.executemany("DELETE FROM blocks WHERE height = ?", [(height,) for height in heights])


@dataclass(frozen=True)
class DetachedBlock:
    """A block that left the best chain: the one before it, and the transactions of ours that it confirmed."""

    hash: bytes
    height: int
    previous: bytes
    txids: list[bytes]


class DetachedTable:
    """Blocks that left the best chain, for those who ask what changed since one of them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def get(self, hash: bytes) -> DetachedBlock | None:
        row = self._ledger.execute("SELECT * FROM detached WHERE hash = ?", (hash,)).fetchone()
        if row is None:
            return None
        txids = row[3]
        return DetachedBlock(row[0], row[1], row[2], [txids[at : at + 32] for at in range(0, len(txids), 32)])

    def put(self, block: DetachedBlock) -> None:
        self._ledger.execute(
            "INSERT OR REPLACE INTO detached VALUES (?, ?, ?, ?)",
            (block.hash, block.height, block.previous, b"".join(block.txids)),
        )
