"""Lists of transactions and blocks by name, as ``inv``, ``getdata`` and ``notfound`` carry them.

A peer may send 50,000 in one message, and the loop stands still while they are read: so they are taken apart all at
once, a twentieth of what `btclib.p2p.Inv` takes for an object each.
"""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from btclib import var_int
from btclib.exceptions import BTClibValueError

_ITEM = Struct("<I32s")


class Item(NamedTuple):
    """A kind (`btclib.p2p.InventoryType`, or one that nobody knows) and a hash in display order."""

    kind: int
    hash: bytes


def parse_items(payload: bytes) -> list[Item]:
    """The message's items. Raises BTClibValueError where there are fewer than it says."""
    count = var_int.parse(payload[:9])
    start = len(var_int.serialize(count))
    body = payload[start : start + count * _ITEM.size]
    if len(body) != count * _ITEM.size:
        raise BTClibValueError("an inventory that is cut short")
    return [Item(kind, hash[::-1]) for kind, hash in _ITEM.iter_unpack(body)]


def serialize_items(items: Sequence[Item]) -> bytes:
    """The payload of a message with these."""
    return var_int.serialize(len(items)) + b"".join(_ITEM.pack(kind, hash[::-1]) for kind, hash in items)
