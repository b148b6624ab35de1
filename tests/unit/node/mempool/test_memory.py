"""What transactions count against -maxmempool, held against ``usage`` of a Bitcoin Core v31's ``getmempoolinfo``.

recorded/usage.json: 40 unrelated transactions (one or two inputs; one to five outputs of every type, some with data) in
the order in which they were sent, and the usage after each.
"""

import json
from pathlib import Path

from btclib.tx import Tx

from bitcoind_mp.node.mempool.memory import Usage, counted

RECORDED = json.loads((Path(__file__).parent / "recorded" / "usage.json").read_text())


def test_each_transaction_counts_what_it_counts_in_core() -> None:
    usage = Usage()
    for row in RECORDED:
        usage.added(counted(Tx.parse(bytes.fromhex(row["hex"]))))
        assert usage.total(0) == row["usage"]


def test_what_left_counts_no_more() -> None:
    usage = Usage()
    assert usage.total(0) == 0
    for memory in (1000, 2000, 3000):
        usage.added(memory)
    for memory in (2000, 3000, 1000):
        usage.removed(memory)
    assert usage.total(0) == 64  # the list keeps room for one
