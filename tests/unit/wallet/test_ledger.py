"""The wallet file: made whole or not at all, checked before it is trusted, changed all or nothing."""

import sqlite3
from hashlib import sha256

import pytest

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.wallet.storage.ledger import APPLICATION_ID, Ledger, WalletFileError, is_wallet_file

GENESIS = "ab" * 32


@pytest.fixture
def path(tmp_path):
    (tmp_path / "w").mkdir()
    return tmp_path / "w" / "wallet.sqlite"


def make(path, fill=lambda ledger: None):
    Ledger.create(path, "regtest", GENESIS, fill)


def opened(path):
    return Ledger.open(path, "regtest", GENESIS)


def test_what_is_written_is_there_when_opened_again(path):
    make(path, lambda ledger: ledger.set_fact("born", 7))
    ledger = opened(path)
    with ledger.transaction():
        ledger.set_fact("more", b"\1\2")
    ledger.close()
    again = opened(path)
    assert (again.fact("born"), again.fact("more"), again.fact("nothing")) == (7, b"\1\2", None)
    again.close()
    assert is_wallet_file(path)
    assert path.stat().st_mode & 0o077 == 0


def test_a_creation_that_fails_leaves_nothing_that_looks_like_a_wallet_and_may_be_repeated(path):
    def fail(ledger):
        ledger.set_fact("half", 1)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        make(path, fail)
    assert not is_wallet_file(path)
    make(path)
    ledger = opened(path)
    assert ledger.fact("half") is None
    ledger.close()


@pytest.mark.parametrize("when", ["filled", "committed"])
def test_a_creation_without_room_says_so_whatever_reads_a_wallet_again(path, when):
    def fill(ledger):
        ledger.on_rollback = lambda: ledger.fact("chain")  # as a `Wallet` does: of this file nothing will be left
        if when == "filled":
            raise sqlite3.OperationalError("database or disk is full")
        ledger.execute("PRAGMA defer_foreign_keys=ON")
        ledger.execute("CREATE TABLE mine (of REFERENCES facts(name))")
        ledger.execute("INSERT INTO mine VALUES ('nobody')")

    with pytest.raises((RpcError, sqlite3.IntegrityError)) as raised:
        make(path, fill)
    assert "no such table" not in str(raised.value)
    if when == "filled":
        assert raised.value.code == RpcCode.DATABASE_ERROR
    make(path)
    opened(path).close()


def test_a_transaction_that_fails_changes_nothing_and_says_so(path):
    make(path)
    ledger = opened(path)
    undone = []
    ledger.on_rollback = lambda: undone.append(ledger.fact("x"))
    with pytest.raises(RuntimeError), ledger.transaction():
        ledger.set_fact("x", 1)
        with ledger.transaction():
            ledger.set_fact("y", 2)
        raise RuntimeError
    assert undone == [None]
    assert ledger.fact("y") is None
    ledger.close()


def test_a_full_disk_is_told_with_what_to_do_and_nothing_is_lost(path):
    make(path)
    ledger = opened(path)
    with ledger.transaction():
        ledger.set_fact("kept", 1)
    pages = ledger.execute("PRAGMA page_count").fetchone()[0]
    ledger.execute(f"PRAGMA max_page_count={pages + 1}")  # SQLite's own way to run out of room
    undone = []
    ledger.on_rollback = lambda: undone.append(True)
    with pytest.raises(RpcError) as refusal, ledger.transaction():
        ledger.set_fact("large", b"x" * 100_000)
    assert refusal.value.code == RpcCode.DATABASE_ERROR
    assert "database or disk is full" in refusal.value.message
    assert str(path) in refusal.value.message
    assert undone == [True]
    assert (ledger.fact("kept"), ledger.fact("large")) == (1, None)
    ledger.close()


def test_a_second_process_is_kept_out(path):
    make(path)
    ledger = opened(path)
    with pytest.raises(WalletFileError, match="used by another process"):
        opened(path)
    ledger.close()
    opened(path).close()


def test_a_file_of_another_chain_is_refused(path):
    make(path)
    with pytest.raises(WalletFileError, match="another chain"):
        Ledger.open(path, "signet", GENESIS)
    with pytest.raises(WalletFileError, match="another chain") as refusal:
        Ledger.open(path, "regtest", "cd" * 32)
    assert refusal.value.code == RpcCode.WALLET_NOT_FOUND


def test_a_file_of_a_newer_program_is_refused(path):
    make(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(WalletFileError, match="newer version"):
        opened(path)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + bytes(84), b"nonsense" * 1000])
def test_what_is_no_wallet_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(WalletFileError) as refusal:
        opened(path)
    assert refusal.value.code == RpcCode.WALLET_NOT_FOUND
    assert not is_wallet_file(path)


def test_another_programs_database_is_refused(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE main (key BLOB, value BLOB)")
    connection.commit()
    connection.close()
    with pytest.raises(WalletFileError, match="no wallet file of this program"):
        opened(path)


def test_damage_is_found_before_the_file_is_used(path):
    make(path, lambda ledger: [ledger.set_fact(f"name {n}", "x" * 300) for n in range(500)])
    content = bytearray(path.read_bytes())
    for at in range(4096 * 20, len(content) - 4096, 4096):
        content[at : at + 200] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(WalletFileError, match="corrupt") as refusal:
        opened(path)
    assert "\n" not in str(refusal.value), "whoever logs or reports it has one line for it"


def test_a_copy_that_was_put_over_a_wallet_in_use_is_found(path):
    """What is written afterwards lies among the copy's pages: whole as a database, but coins are missing."""
    rows = [(sha256(bytes([number])).digest(), bytes(300), 2 * number) for number in range(200)]
    insert = "INSERT INTO transactions VALUES (?, ?, 'mempool', NULL, NULL, NULL, NULL, ?, 0, 0, '', '', NULL, NULL)"
    advance = "UPDATE transactions SET sequence = sequence + 1 WHERE sequence = ?"
    make(path, lambda ledger: ledger.executemany(insert, rows))
    ledger = opened(path)
    copy = path.read_bytes()
    with ledger.transaction():
        ledger.executemany(advance, [(sequence,) for sequence in range(100, 120, 2)])
    ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(copy)
    with ledger.transaction():
        ledger.execute(advance, (122,))
    ledger.close()
    with sqlite3.connect(path) as mixed:
        assert mixed.execute("PRAGMA quick_check").fetchone() == ("ok",)
    mixed.close()
    with pytest.raises(WalletFileError, match="corrupt"):
        opened(path)


def test_what_a_kill_left_beside_a_file_is_named_where_it_spoiled_a_backup(path, tmp_path):
    """The usual way: a wallet that was killed, and a copy put in the file's place alone."""
    make(path, lambda ledger: [ledger.set_fact(f"name {n}", "x" * 300) for n in range(500)])
    ledger = opened(path)
    with ledger.transaction():
        ledger.execute("DELETE FROM facts WHERE name LIKE 'name 1%'")
    ledger.backup(tmp_path / "copy.sqlite")
    ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with ledger.transaction():
        ledger.set_fact("name 250", "y" * 300)
    left = path.with_name("wallet.sqlite-wal").read_bytes()
    ledger.close()
    path.write_bytes((tmp_path / "copy.sqlite").read_bytes())
    path.with_name("wallet.sqlite-wal").write_bytes(left)
    with pytest.raises(WalletFileError, match=r"is corrupt.*not beside what is left of another"):
        opened(path)


def moved_away(path):
    path.rename(path.with_name("elsewhere"))


def restored_by_tar_or_rsync(path):
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)


@pytest.mark.parametrize("what", [moved_away, restored_by_tar_or_rsync])
def test_nothing_is_promised_that_would_go_to_a_file_without_its_name(path, tmp_path, what):
    make(path)
    ledger = opened(path)
    with ledger.transaction():
        ledger.set_fact("x", 1)
    what(path)
    with pytest.raises(RpcError, match="removed or replaced") as refusal, ledger.transaction():
        pass
    assert refusal.value.code == RpcCode.DATABASE_ERROR
    ledger.backup(tmp_path / "saved.sqlite")
    ledger.close()
    saved = opened(tmp_path / "saved.sqlite")
    assert saved.fact("x") == 1
    saved.close()


def test_a_file_that_was_put_back_is_used_as_before(path):
    make(path)
    ledger = opened(path)
    moved_away(path)
    with pytest.raises(RpcError), ledger.transaction():
        pass
    path.with_name("elsewhere").rename(path)
    with ledger.transaction():
        ledger.set_fact("x", 1)
    ledger.close()


def test_a_backup_is_a_whole_wallet_file(path, tmp_path):
    make(path)
    ledger = opened(path)
    with ledger.transaction():
        ledger.set_fact("x", 1)
    target = tmp_path / "copy.sqlite"
    target.write_bytes(b"what was there before")
    ledger.backup(target)
    with ledger.transaction():
        ledger.set_fact("x", 2)
    ledger.close()
    copy = opened(target)
    assert copy.fact("x") == 1
    copy.close()
    assert [one.name for one in tmp_path.iterdir() if "partial" in one.name] == []


def test_rewriting_leaves_nothing_of_what_was_deleted(path):
    secret = b"a very private key that was here"
    make(path)
    ledger = opened(path)
    with ledger.transaction():
        ledger.set_fact("secret", secret)
    with ledger.transaction():
        ledger.set_fact("secret", None)
    ledger.rewrite()
    for file in path.parent.iterdir():
        assert secret not in file.read_bytes()
    ledger.close()


def test_the_file_says_whose_it_is(path):
    make(path)
    assert int.from_bytes(path.read_bytes()[68:72], "big") == APPLICATION_ID
