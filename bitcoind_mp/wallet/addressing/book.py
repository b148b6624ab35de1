"""The address book: labels and purposes of addresses, by the script that each stands for.

An address of ours without an entry counts as change. What doesn't belong: addresses as text.
"""

from collections.abc import Iterator

from bitcoind_mp.wallet.storage.tables import AddressEntry, AddressTable

from .addresses import has_address

RECEIVE = "receive"
SEND = "send"


class AddressBook:
    """All entries of one wallet."""

    def __init__(self, table: AddressTable) -> None:
        self._table = table
        self._entries: dict[bytes, AddressEntry] = {}
        self.reload()

    def reload(self) -> None:
        """Read what the ledger holds."""
        self._entries = self._table.all()

    def __iter__(self) -> Iterator[tuple[bytes, AddressEntry]]:
        """The entries that people made: script and entry."""
        return ((script, entry) for script, entry in self._entries.items() if entry.label is not None)

    def get(self, script: bytes) -> AddressEntry | None:
        """The entry that people made for it (``FindAddressBookEntry``)."""
        entry = self._entries.get(script)
        return entry if entry is not None and entry.label is not None else None

    def is_change(self, script: bytes, *, ours: bool) -> bool:
        """Ours, and no entry says otherwise (``ScriptIsChange``)."""
        return ours and (self.get(script) is None or not has_address(script))

    def record(self, script: bytes, label: str, purpose: str | None = None) -> None:
        """Make or change an entry (``SetAddressBook``). In a ledger transaction."""
        old = self._entries.get(script, AddressEntry())
        self._put(script, AddressEntry(label, old.purpose if purpose is None else purpose, old.spent))

    def is_spent(self, script: bytes) -> bool:
        """A coin on it was spent before; known in ``avoid_reuse`` wallets alone (``IsSpentKey``)."""
        entry = self._entries.get(script)
        return entry is not None and entry.spent

    def set_spent(self, script: bytes) -> None:
        """Note that a coin on it was spent. In a ledger transaction."""
        old = self._entries.get(script, AddressEntry())
        if not old.spent:
            self._put(script, AddressEntry(old.label, old.purpose, True))

    def _put(self, script: bytes, entry: AddressEntry) -> None:
        self._table.put(script, entry)
        self._entries[script] = entry

    def labels(self, purpose: str | None = None) -> set[str]:
        """All labels in use, of entries with that purpose."""
        return {entry.label or "" for _, entry in self if purpose in (None, entry.purpose)}
