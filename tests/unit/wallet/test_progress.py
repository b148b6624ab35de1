"""Where a wallet stands, and the locator made of it."""

import itertools

import pytest

from bitcoind_mp.wallet.record.progress import Progress
from bitcoind_mp.wallet.storage.ledger import Ledger
from bitcoind_mp.wallet.storage.tables import BlockRow

GENESIS = "ab" * 32


def row(height):
    return BlockRow(height, height.to_bytes(32, "big"), 1000 + height, 900 + height)


@pytest.fixture
def ledger(tmp_path):
    Ledger.create(tmp_path / "wallet.sqlite", "regtest", GENESIS, lambda ledger: None)
    ledger = Ledger.open(tmp_path / "wallet.sqlite", "regtest", GENESIS)
    yield ledger
    ledger.close()


def advance(ledger, progress, heights):
    with ledger.transaction():
        for height in heights:
            progress.advance(row(height))
            progress.save()


def test_the_newest_blocks_are_all_kept_and_older_ones_ever_fewer(ledger):
    progress = Progress(ledger)
    advance(ledger, progress, range(5000))
    heights = [int(hash, 16) for hash in progress.locator()]
    assert heights == sorted(heights, reverse=True)
    assert heights[:144] == list(range(4999, 4855, -1))
    assert heights[-1] == 0
    assert len(heights) < 1200
    gaps = [a - b for a, b in itertools.pairwise(heights[144:])]
    assert gaps == sorted(gaps)


def test_it_reads_back_what_was_saved_and_nothing_else(ledger):
    progress = Progress(ledger)
    advance(ledger, progress, range(10))
    progress.advance(row(10))
    assert progress.tip == row(10)
    assert progress.unsaved == 1
    assert Progress(ledger).tip == row(9)
    with ledger.transaction():
        progress.save()
    assert Progress(ledger).tip == row(10)
    assert progress.unsaved == 0


def test_rewinding_forgets_and_knows_what_left_newest_first(ledger):
    progress = Progress(ledger)
    advance(ledger, progress, range(10))
    progress.advance(row(10))
    late, early = b"l" * 32, b"e" * 32
    with ledger.transaction():
        progress.rewind(7, {row(8).hash: [early], row(10).hash: [late]})
    assert progress.tip == Progress(ledger).tip == row(7)
    assert (progress.hash_at(8), progress.hash_at(7)) == (None, row(7).hash)
    assert (progress.height_of(row(7).hash), progress.height_of(row(8).hash)) == (7, None)
    assert progress.unsaved == 0
    assert progress.left(row(10).hash) == (7, [late, early])
    assert progress.left(row(8).hash) == (7, [early])
    assert progress.left(row(7).hash) is None


def test_it_starts_anew_from_given_blocks(ledger):
    progress = Progress(ledger)
    advance(ledger, progress, range(10))
    with ledger.transaction():
        progress.replace_all([row(0), row(500)])
    assert progress.locator() == [row(500).hash.hex(), row(0).hash.hex()]
    assert Progress(ledger).locator() == progress.locator()
