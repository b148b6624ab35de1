"""Lists of names, the same as btclib's and much faster."""

import pytest
from btclib.exceptions import BTClibValueError
from btclib.p2p import Inv, Inventory, InventoryType

from bitcoind_mp.node.p2p.inventory import Item, parse_items, serialize_items


@pytest.mark.parametrize("count", [0, 1, 252, 253, 1000])
def test_items_are_those_that_btclib_reads_and_writes(count: int) -> None:
    kinds = (InventoryType.MSG_TX, InventoryType.MSG_WITNESS_BLOCK)
    hashes = [n.to_bytes(32, "big") for n in range(count)]
    items = [Item(kinds[n % 2], hash) for n, hash in enumerate(hashes)]
    payload = Inv([Inventory(kind, hash) for kind, hash in items]).serialize()
    assert serialize_items(items) == payload
    assert parse_items(payload) == items
    assert parse_items(payload + b"more") == items


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x01" + bytes(35), b"\xfd\x01"])
def test_a_list_that_is_cut_short_is_none(payload: bytes) -> None:
    with pytest.raises(BTClibValueError):
        parse_items(payload)
