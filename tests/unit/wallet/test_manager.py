"""Which wallets are loaded, by whom, and what happens to those that can't be."""

import asyncio
import os
import sqlite3
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from nobody import NOBODY

from bitcoind_mp.config.state import parent_identity
from bitcoind_mp.wallet.options import WalletOptions
from bitcoind_mp.wallet.storage.directory import Directory
from bitcoind_mp.wallet.storage.ledger import WalletFileError
from bitcoind_mp.wallet.wallets.creation import Recipe
from bitcoind_mp.wallet.wallets.rebroadcast import Rebroadcaster
from bitcoind_mp.wallet.wallets.startup import SessionList, StartupList

BTC = 100_000_000


def test_a_bad_file_is_refused_alone_and_forgiven_when_it_loads(on_bench):
    async def scenario(bench):
        for name in ("a", "b", "c"):
            await bench.wallet(name)
        await bench.wallets.close()
        bad = bench.options.wallets_dir / "b" / "wallet.sqlite"
        content = bad.read_bytes()
        bad.write_bytes(b"nonsense" * 100)
        bench.wallets = bench.manager()
        await bench.wallets.load_all(["a", "b", "a", "none", "c"])
        assert [wallet.name for wallet in bench.wallets] == ["a", "c"]
        assert set(bench.wallets.refused) == {"b", "none"}
        assert "corrupt" in bench.wallets.refused["b"]
        bad.write_bytes(content)
        await bench.wallets.load("b")
        assert set(bench.wallets.refused) == {"none"}

    on_bench(scenario)


def test_a_file_that_can_t_be_read_is_not_called_corrupt(on_bench):
    async def scenario(bench):
        directory = bench.options.wallets_dir / "w"
        directory.mkdir(parents=True)
        (directory / "wallet.sqlite").symlink_to("wallet.sqlite")
        refusal = await bench.refused(bench.wallets.load("w"))
        assert refusal.code == -4
        assert refusal.message.endswith(f"'{directory}'. It can't be read: Too many levels of symbolic links.")

    on_bench(scenario)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have files of another user's")
@pytest.mark.parametrize("shut", ["w/wallet.sqlite", "w", ""])
def test_a_backup_that_root_copied_back_is_told_to_be_roots(shut):
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        (root / "w").mkdir()
        (root / "w" / "wallet.sqlite").write_bytes(b"SQLite format 3\0")
        for path, mode in ((root, 0o755), (root / shut, 0o700)):
            path.chmod(mode)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(WalletFileError) as refusal:
                Directory(root).existing("w")
        finally:
            os.seteuid(0)
        assert refusal.value.code == -4
        assert refusal.value.message.endswith(
            f"'{root / 'w'}'. It can't be read: Permission denied. "
            f"'{root / shut}' belongs to user 0, this process to user {NOBODY}: change its owner."
        )


def test_what_is_loaded_at_the_start(on_bench):
    async def scenario(bench):
        await bench.wallet("one")
        await bench.wallet("two")
        again = bench.manager()
        assert again.startup_names(["marked"]) == ["marked", "one", "two"]
        await bench.wallets.unload("one")
        assert bench.manager().startup_names([]) == ["two"]
        other = SessionList(bench.directory / "loaded.json", "another parent")
        assert other.names() == []

    on_bench(scenario)


def test_a_kill_while_they_are_loaded_makes_none_be_forgotten(on_bench):
    async def scenario(bench):
        for name in ("one", "two", "three"):
            await bench.wallet(name)
        await bench.wallets.close()
        (bench.options.wallets_dir / "two" / "wallet.sqlite").write_bytes(b"nonsense" * 100)
        bench.wallets = bench.manager()
        told = []
        bench.wallets.on_change = lambda: told.append(set(bench.manager().startup_names([])))
        await bench.wallets.load_all(bench.wallets.startup_names([]))
        assert [wallet.name for wallet in bench.wallets] == ["one", "three"]
        assert told and all(names == {"one", "two", "three"} for names in told)

    on_bench(scenario)


def test_an_unnamed_wallet_lies_at_the_top_and_is_loaded_unless_others_are_named(on_bench):
    async def scenario(bench):
        await bench.wallet("w")
        await bench.wallets.unload("w")
        (bench.options.wallets_dir / "w" / "wallet.sqlite").rename(bench.options.wallets_dir / "wallet.sqlite")
        assert bench.wallets.startup_names([]) == [""]
        assert bench.wallets.startup_names(["x"]) == ["x"]
        assert bench.wallets.startup_names([], negated=True) == []
        await bench.wallets.load("")
        assert [name for name, _ in bench.wallets.directory.listed()] == [""]

    on_bench(scenario)


def test_cores_wallets_are_listed_with_a_word_and_not_opened(on_bench):
    async def scenario(bench):
        core = bench.options.wallets_dir / "old"
        core.mkdir()
        (core / "wallet.dat").write_bytes(b"SQLite format 3\0" + bytes(100))
        assert [name for name, warnings in bench.wallets.directory.listed() if warnings] == ["old"]
        error = await bench.refused(bench.wallets.load("old"))
        assert error.code == -18
        assert "importdescriptors" in error.message
        backup = bench.directory / "core.dat"
        with sqlite3.connect(backup) as database:
            database.execute("CREATE TABLE main(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL)")
        database.close()
        legacy = bench.directory / "legacy.dat"
        legacy.write_bytes(bytes(12) + bytes.fromhex("62310500") + bytes(100))
        for file in (backup, legacy):
            error = await bench.refused(bench.wallets.restore("x", file, None))
            assert error.code == -18
            assert "is a wallet of Bitcoin Core" in error.message and "importdescriptors" in error.message
            assert not (bench.options.wallets_dir / "x").exists()
        error = await bench.refused(bench.wallets.create("old", Recipe(), None))
        assert "already exists" in error.message

    on_bench(scenario)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13, 21, 34])
@pytest.mark.parametrize("passphrase", ["", "pass"])
def test_a_creation_that_is_cancelled_leaves_nothing_and_not_a_bit_of_what_was_there(on_bench, steps, passphrase):
    """A caller's Ctrl-C cancels the call, wherever it is by then; too late, and the wallet is there."""

    async def scenario(bench):
        there = bench.options.wallets_dir / "there"
        there.mkdir()
        for name, path in [("family/rent", bench.options.wallets_dir / "family"), ("there", there / "wallet.sqlite")]:
            making = asyncio.ensure_future(bench.wallets.create(name, Recipe(passphrase=passphrase), None))
            for _ in range(steps):
                await asyncio.sleep(0)
            making.cancel()
            await asyncio.wait({making})
            assert bench.wallets.get(name) is not None or not path.exists()
            assert steps > 0 or not path.exists()
        assert there.is_dir()
        await bench.wallet("again/again")

    on_bench(scenario)


def test_directories_one_in_the_other_without_end_keep_no_wallet_from_being_listed(on_bench):
    """Another wallet's process may have left them."""

    async def scenario(bench):
        await bench.wallet("family/rent")
        inside = os.open(bench.options.wallets_dir, os.O_RDONLY)
        for _ in range(1200):
            os.mkdir("d", dir_fd=inside)
            deeper = os.open("d", os.O_RDONLY, dir_fd=inside)
            os.close(inside)
            inside = deeper
        os.close(inside)
        made.append(str(bench.options.wallets_dir / "d"))
        assert [name for name, _ in bench.wallets.directory.listed()] == ["family/rent"]

    made: list[str] = []
    try:
        on_bench(scenario)
    finally:
        subprocess.run(["rm", "-rf", *made], check=True)  # shutil finds no end either


def test_names_may_be_paths_below_the_directory(on_bench):
    async def scenario(bench):
        await bench.wallet("family/rent")
        assert [name for name, _ in bench.wallets.directory.listed()] == ["family/rent"]

    on_bench(scenario)


def test_a_wallet_made_without_a_node_starts_where_the_node_stands_when_it_comes(on_bench):
    async def scenario(bench):
        bench.chain.mine(count=20, time=bench.NOW - 100_000)
        await bench.node.go()
        wallet = await bench.wallet()
        assert wallet.height == -1
        script = bench.receive(wallet)
        bench.chain.mine(bench.make_tx([(b"\7" * 32, 0)], [(BTC, script)]))
        bench.node.come()
        assert await bench.wallets.attachment(wallet).until_live(10)
        assert wallet.balance().trusted == BTC
        heights = [wallet.progress.height_of(bytes.fromhex(hash)) for hash in wallet.progress.locator()]
        assert heights[:2] == [21, 20]

    on_bench(scenario)


def test_the_start_list_keeps_what_else_is_in_cores_file(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"other": 1, "wallet": "single"}')
    startup = StartupList(path)
    startup.change("w", True)
    startup.change("w", True)
    assert startup.names() == ["single", "w"]
    startup.change("single", False)
    assert startup.names() == ["w"]
    assert '"other": 1' in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("left", ["{", "[]", "[" * 100_000, "x" * (2 << 20), "directory", "fifo", "\ud800"])
def test_a_start_list_that_somebody_spoiled_stops_nobody(tmp_path, caplog, left):
    """Whoever broke into the process that writes it could else keep all from starting, or waiting for ever."""
    path = tmp_path / "settings.json"
    if left == "directory":
        path.mkdir()
    elif left == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(left.encode(errors="surrogatepass"))
    startup = StartupList(path)
    assert startup.marked() == []
    assert startup.problem.startswith(f"The list of wallets to load at the start, {path}, can't be read: ")
    assert startup.problem in caplog.text
    assert SessionList(path, "parent").names() == []
    with pytest.raises((OSError, ValueError)):
        startup.change("w", True)
    assert path.is_dir() or path.is_fifo() or path.read_bytes() == left.encode(errors="surrogatepass")


@pytest.mark.parametrize(
    "name",
    [
        *("settings.json", "loaded.json", "settings.json.partial", "wallet-unlocked.json", "wallet@a-unlocked.json"),
        *("settings.json/w", "w/unlocked.json", "wallet.sqlite", "w/wallet.sqlite-wal", "backup.partial"),
    ],
)
def test_no_wallet_is_made_where_a_file_of_the_process_s_own_is_to_lie(on_bench, tmp_path, name):
    async def scenario(bench):
        refused = await bench.refused(bench.wallets.create(name, Recipe(), None))
        assert (refused.code, "That name is kept for a file of this program's own" in refused.message) == (-4, True)
        refused = await bench.refused(bench.wallets.restore(name, tmp_path, None))
        assert (refused.code, "That name is kept for a file of this program's own" in refused.message) == (-4, True)
        assert not (bench.options.wallets_dir / name).exists()

    on_bench(scenario)


def test_waiting_transactions_are_handed_over_again_once_a_block_could_have_had_them(on_bench):
    async def scenario(bench):
        from bitcoind_mp.interfaces.errors import RpcError

        wallet = await bench.wallet()
        raw = bench.make_tx([(b"\7" * 32, 0)], [(BTC, bench.receive(wallet))])
        bench.chain.mine(raw)
        await bench.chain.deliver()
        bench.chain.refusal = RpcError(-26, "mempool full")
        await wallet.commit(bench.make_tx([(bench.txid_of(raw), 0)], [(9, bench.STRANGER)]))
        bench.chain.refusal = None
        again = Rebroadcaster(bench.wallets, bench.node.chain, bench.clock)
        assert await again.once() == 0  # it came after the newest block
        bench.chain.clock = bench.NOW + 10_000
        bench.clock.observe(await bench.chain.status())
        bench.chain.mine()
        await bench.chain.deliver()
        bench.chain.downloading = True
        assert await again.once() is None
        bench.chain.downloading = False
        assert await again.once() == 1
        await bench.node.go()
        assert await again.once() is None

    on_bench(scenario)


def test_it_is_the_nodes_clock_that_says_when_they_are_handed_over_again(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        raw = bench.make_tx([(b"\7" * 32, 0)], [(BTC, bench.receive(wallet))])
        bench.chain.mine(raw)
        await bench.chain.deliver()
        ours = bench.make_tx([(bench.txid_of(raw), 0)], [(9, bench.STRANGER)])
        await wallet.commit(ours)
        bench.chain.received.clear()
        handed_over = asyncio.Event()
        bench.chain.on_broadcast = handed_over.set
        task = asyncio.create_task(Rebroadcaster(bench.wallets, bench.node.chain, bench.clock, lambda: 40_000).run())
        await asyncio.sleep(0)
        await bench.chain.put_clock(bench.NOW + 1000)
        bench.chain.mine()
        await bench.chain.deliver()
        await bench.chain.put_clock(bench.NOW + 39_999)
        await asyncio.sleep(0.01)
        assert bench.chain.received == []
        await bench.chain.put_clock(bench.NOW + 40_000)
        await asyncio.wait_for(handed_over.wait(), 5)
        assert bench.chain.received == [ours]
        task.cancel()

    on_bench(scenario)


def test_fees_that_are_most_likely_a_slip_are_told_where_a_wallet_is_loaded(on_bench):
    async def scenario(bench):
        await bench.wallet("w")
        await bench.wallets.close()
        bench.options = replace(bench.options, fallback_fee=1_000_001, max_tx_fee=100_000_001)
        bench.wallets = bench.manager()
        _, warnings = await bench.wallets.load("w")
        assert [warning.partition("! ")[0] for warning in warnings] == [
            "-fallbackfee is set very high",
            "-maxtxfee is set very high",
        ]
        assert warnings[1].endswith("! Fees this large could be paid on a single transaction.")

    on_bench(scenario)


def test_ordinary_fees_are_no_slip():
    assert WalletOptions().warnings == []
    assert WalletOptions(fallback_fee=1_000_000, max_tx_fee=100_000_000, max_aps_fee=-1).warnings == []


@pytest.mark.parametrize("low_memory", [False, True])
def test_with_less_memory_less_of_a_file_is_kept(on_bench, low_memory):
    async def scenario(bench):
        wallet = await bench.wallet()
        (kept,) = wallet.ledger.execute("PRAGMA cache_size").fetchone()
        assert (kept == -500) is low_memory

    on_bench(scenario, low_memory=low_memory)


def test_a_keypool_that_has_grown_is_filled_at_a_load_and_others_have_their_turns(on_bench):
    async def scenario(bench):
        await bench.wallet()
        await bench.wallets.close()
        bench.options = replace(bench.options, keypool=550)
        bench.wallets = bench.manager()
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        wallet, _ = await bench.wallets.load("w", patience=0)
        seen = turns
        beside.cancel()
        assert wallet.addresses.size(internal=False) == 4 * 550
        assert seen >= 5, "it was filled in steps"

    on_bench(scenario)


def test_a_process_for_one_wallet_loads_it_alone_and_refuses_every_other(on_bench):
    async def scenario(bench):
        for name in ("alice", "bob"):
            await bench.wallet(name)
        await bench.wallets.close()
        bench.options = replace(bench.options, only="alice")
        bench.wallets = bench.manager()
        assert bench.wallets.startup_names(["bob", "marked"]) == ["alice"]
        await bench.wallets.load_all(["alice"])
        for work in (
            bench.wallets.load("bob"),
            bench.wallets.create("carol", Recipe(), None),
            bench.wallets.restore("carol", bench.directory / "backup", None),
        ):
            refused = await bench.refused(work)
            assert (refused.code, "serves the wallet 'alice' alone" in refused.message) == (-4, True)

    on_bench(scenario)


def test_a_process_for_a_wallet_that_is_not_there_yet_waits_for_it_to_be_made(on_bench, caplog):
    async def scenario(bench):
        assert bench.wallets.startup_names([]) == []
        await bench.wallet("new")
        assert bench.wallets.startup_names([]) == ["new"]
        assert not (bench.directory / "loaded.json").exists()

    on_bench(scenario, only="new")
    assert "There is no wallet 'new' yet: make it with createwallet." in caplog.text


def test_a_parent_is_known_by_its_boot_too():
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    assert parent_identity().startswith(f"{boot}:{os.getppid()}:")


def test_an_answer_waits_for_a_wallet_that_is_on_its_way_down(on_bench):
    """Blocks taken off without others in their place (``invalidateblock``): the wallet stands too high for a while."""

    async def scenario(bench):
        wallet = await bench.wallet()

        async def reaches_the_tip():
            tip = bench.chain.blocks[-1].ref
            return await wallet.reach(bytes.fromhex(tip.hash), tip.height, 10) and wallet.block.hex() == tip.hash

        bench.chain.mine(count=30)
        assert await reaches_the_tip()
        bench.chain.detach(20)
        assert await reaches_the_tip()
        bench.chain.detach(5)
        bench.chain.mine(count=2, time=1)
        assert await reaches_the_tip()
        bench.chain.detach(1)
        bench.chain.mine(count=3, time=2)
        assert await reaches_the_tip()

    on_bench(scenario)
