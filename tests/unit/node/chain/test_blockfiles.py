"""Reading raw blocks from files, those included that a killed process left beyond the end."""

from pathlib import Path

from btclib.hashes import hash256
from btclib.obfuscation import obfuscate

from bitcoind_mp.node.chain.blockfiles import BlockFiles

MAGIC = bytes.fromhex("fabfb5da")
KEY = bytes(range(1, 9))


def block(number: int, size: int = 200) -> tuple[bytes, bytes]:
    raw = number.to_bytes(4, "little") * 20 + bytes([number % 251]) * (size - 80)
    return hash256(raw[:80])[::-1], raw


def record(raw: bytes) -> bytes:
    return MAGIC + len(raw).to_bytes(4, "little") + raw


def write(directory: Path, number: int, data: bytes, at: int = 0) -> None:
    path = directory / f"blk{number:05d}.dat"
    path.touch()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(obfuscate(data, KEY, at))


def test_blocks_behind_the_known_end_are_found(tmp_path: Path) -> None:
    (tmp_path / "xor.dat").write_bytes(KEY)
    (first, one), (second, two), (third, three) = (block(number) for number in range(1, 4))
    write(tmp_path, 0, record(one))
    files = BlockFiles(tmp_path, MAGIC, (0, len(record(one))))
    assert files.read(first, (0, 8)) == one
    assert files.read(second, None) is None
    write(tmp_path, 0, record(two), len(record(one)))
    assert files.read(second, None) == two
    write(tmp_path, 1, record(three))
    assert files.read(third, None) == three
    assert files.read_range(third, None, 100, 7) == three[100:107]


def test_files_without_a_key_are_plain(tmp_path: Path) -> None:
    name, raw = block(5)
    (tmp_path / "blk00000.dat").write_bytes(record(raw) + bytes(1000))
    assert BlockFiles(tmp_path, MAGIC, (0, 0)).read(name, None) == raw


def test_what_is_overwritten_after_a_kill_is_found_anew(tmp_path: Path) -> None:
    (tmp_path / "xor.dat").write_bytes(KEY)
    old = [block(number, 200 + number) for number in range(1, 6)]
    new = [block(number, 150 + number) for number in range(11, 14)]
    write(tmp_path, 0, b"".join(record(raw) for _, raw in old))
    files = BlockFiles(tmp_path, MAGIC, (0, 0))
    assert all(files.read(name, None) == raw for name, raw in old)
    at = 0
    for name, raw in new:
        write(tmp_path, 0, record(raw), at)
        at += len(record(raw))
        assert files.read(name, None) == raw
    assert files.read(old[0][0], None) is None
    assert files.read(old[1][0], (0, 8 + len(record(old[0][1])))) is None


def test_a_wrong_position_is_not_believed(tmp_path: Path) -> None:
    (first, one), (second, two) = block(1), block(2)
    (tmp_path / "blk00000.dat").write_bytes(record(one) + record(two))
    files = BlockFiles(tmp_path, MAGIC, (0, 0))
    assert files.read(second, (0, 8)) == two
    assert files.read(second, (7, 8)) == two
    assert files.read(first, (0, 9)) == one
    assert files.read_range(second, (0, 8), 0, 80) == two[:80]


def test_a_missing_directory_has_no_blocks(tmp_path: Path) -> None:
    assert BlockFiles(tmp_path / "nowhere", MAGIC, (0, 0)).read(b"\x01" * 32, (0, 8)) is None


def test_of_blocks_without_number_only_the_newest_places_are_remembered(tmp_path: Path) -> None:
    """The initial download writes hundreds of thousands, and their nodes know where they are."""
    written = [block(number, 100) for number in range(10_200)]
    (tmp_path / "blk00000.dat").write_bytes(b"".join(record(raw) for _, raw in written))
    files = BlockFiles(tmp_path, MAGIC, (0, 0))
    name, raw = written[-1]
    assert files.read(name, None) == raw
    assert files.size(name) == 100
    assert len(files._found) <= 10_000
    name, raw = written[0]
    assert files.read(name, (0, 8)) == raw
