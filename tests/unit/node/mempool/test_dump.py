"""``mempool.dat``, Core's and ours."""

import tarfile
from pathlib import Path
from typing import Any

import pytest
from btclib.obfuscation import obfuscate

from bitcoind_mp.node.mempool.dump import DumpDamaged, read_dump, write_dump

KEY = bytes(range(1, 9))


@pytest.fixture
def core_dump(vectors: Path, tmp_path: Path) -> Path:
    with tarfile.open(vectors / "core-regtest" / "datadir.tar.xz") as archive:
        archive.extract("regtest/mempool.dat", tmp_path)
    return tmp_path / "regtest" / "mempool.dat"


def test_cores_file_is_read(core_dump: Path, core_answers: dict[str, Any]) -> None:
    dump = read_dump(core_dump)
    expected = core_answers["getrawmempool_verbose"]["result"]
    assert {entry.tx.id.hex() for entry in dump.entries} == set(expected)
    assert {txid.hex() for txid in dump.unbroadcast} == set(expected)
    assert dump.deltas == {}


def test_what_is_written_reads_the_same(tmp_path: Path, money: Any) -> None:
    txs = [money.spend(fee=1000) for _ in range(1100)]
    entries = [(tx.serialize(include_witness=True), 1_700_000_000 + i, i - 5) for i, tx in enumerate(txs)]
    write_dump(tmp_path / "mempool.dat", entries, {b"\x05" * 32: 9, b"\x04" * 32: -9}, [txs[3].id], KEY)
    dump = read_dump(tmp_path / "mempool.dat")
    assert [(entry.tx.id, entry.time, entry.delta) for entry in dump.entries] == [
        (tx.id, time, delta) for tx, (_, time, delta) in zip(txs, entries, strict=True)
    ]
    assert dump.deltas == {b"\x05" * 32: 9, b"\x04" * 32: -9}
    assert dump.unbroadcast == [txs[3].id]
    assert [path.name for path in tmp_path.iterdir()] == ["mempool.dat"]


def test_the_bytes_are_cores(core_dump: Path, tmp_path: Path) -> None:
    """Core's own content, written by us with Core's key, is Core's file."""
    data = core_dump.read_bytes()
    dump = read_dump(core_dump)
    entries = [(each.tx.serialize(include_witness=True), each.time, each.delta) for each in dump.entries]
    write_dump(tmp_path / "ours", entries, dump.deltas, dump.unbroadcast, data[9:17])
    assert (tmp_path / "ours").read_bytes() == data


def test_the_first_version_has_no_key(core_dump: Path, tmp_path: Path) -> None:
    data = core_dump.read_bytes()
    old = tmp_path / "old"
    old.write_bytes((1).to_bytes(8, "little") + obfuscate(data[17:], data[9:17], 17))
    assert read_dump(old) == read_dump(core_dump)


@pytest.mark.parametrize("data", [b"", b"\x02", (3).to_bytes(8, "little"), b"not a mempool at all"])
def test_another_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mempool.dat"
    path.write_bytes(data)
    with pytest.raises(DumpDamaged):
        read_dump(path)


def test_a_file_cut_short_gives_what_it_has(core_dump: Path) -> None:
    data = core_dump.read_bytes()
    core_dump.write_bytes(data[:600])
    assert 0 < len(read_dump(core_dump).entries) < 3


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, money: Any) -> None:
    path = tmp_path / "mempool.dat"
    write_dump(path, [], {}, [], KEY)
    before = path.read_bytes()
    (tmp_path / "mempool.dat.new").mkdir()
    with pytest.raises(OSError):
        write_dump(path, [(money.spend(fee=1).serialize(include_witness=True), 1, 0)], {}, [], KEY)
    assert path.read_bytes() == before


def test_a_damaged_count_at_the_end_is_not_believed(tmp_path: Path, money: Any) -> None:
    path = tmp_path / "mempool.dat"
    write_dump(path, [(money.spend(fee=1000).serialize(include_witness=True), 1, 0)], {}, [], bytes(8))
    path.write_bytes(path.read_bytes()[:-1] + b"\xfe" + (1 << 20).to_bytes(4, "little") + bytes(40))
    dump = read_dump(path)
    assert len(dump.entries) == 1
    assert dump.unbroadcast == [bytes(32)]
