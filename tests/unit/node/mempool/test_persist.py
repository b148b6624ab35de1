"""The mempool over restarts and kills. A kill is a mempool that is never closed."""

import asyncio
import errno
import resource
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from btclib.tx import Tx, TxOut

from bitcoind_mp.node.mempool.pool import Mempool

Run = Callable[[Any], Any]
Make = Callable[..., Mempool]


def restart(run: Run, make_mempool: Make, directory: Path, **policy: Any) -> Mempool:
    mempool = make_mempool(directory, **policy)
    assert not mempool.loaded
    run(mempool.load())
    assert mempool.loaded
    return mempool


@pytest.fixture
def live(run: Run, make_mempool: Make, tmp_path: Path) -> Mempool:
    return restart(run, make_mempool, tmp_path)


def state(mempool: Mempool) -> Any:
    entries = sorted((e.txid, e.wtxid, e.fee, e.modified_fee, e.time) for e in mempool.entries())
    return entries, mempool.prioritised(), mempool.unbroadcast


def fill(run: Run, mempool: Mempool, money: Any, chain: Any) -> list[Tx]:
    parent = money.spend(fee=1000)
    txs = [parent, money.spend(money.output(parent), fee=5000), money.spend(fee=700)]
    for number, tx in enumerate(txs):
        chain.clock.time += 5
        run(mempool.accept(tx, unbroadcast=number == 1))
    run(mempool.prioritise(txs[2].id, 123))
    run(mempool.prioritise(b"\x07" * 32, -9))
    return txs


def test_a_kill_loses_nothing(
    run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any, chain: Any
) -> None:
    fill(run, live, money, chain)
    before = state(live)
    for _ in range(3):
        again = restart(run, make_mempool, tmp_path)
        assert state(again) == before


def test_nor_does_a_stop(run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any, chain: Any) -> None:
    fill(run, live, money, chain)
    before = state(live)
    run(live.close())
    assert (tmp_path / "mempool.dat").exists()
    assert state(restart(run, make_mempool, tmp_path)) == before


def test_nor_one_kill_after_another_with_saves_between(
    run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any, chain: Any
) -> None:
    mempool = live
    for round in range(4):
        fill(run, mempool, money, chain)
        if round % 2:
            assert run(mempool.save()) == tmp_path / "mempool.dat"
        run(mempool.accept(money.spend(fee=900)))
        before = state(mempool)
        mempool = restart(run, make_mempool, tmp_path)
        assert state(mempool) == before


def test_what_was_replaced_or_confirmed_stays_away(
    run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any, chain: Any
) -> None:
    point = money.coin()
    old, new, confirmed = money.spend(point, fee=1000), money.spend(point, fee=9000), money.spend(fee=1000)
    for tx in (old, new, confirmed):
        run(live.accept(tx))
    chain.mine(confirmed)
    again = restart(run, make_mempool, tmp_path)
    assert [entry.txid for entry in again.entries()] == [new.id]


def test_a_package_below_the_minimum_survives(
    run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any
) -> None:
    parent = money.spend(fee=0)
    child = money.spend(money.output(parent), fee=2000)
    run(live.accept_package([parent, child]))
    assert len(restart(run, make_mempool, tmp_path)) == 2


def test_what_pays_too_little_for_a_new_minimum_goes(
    run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any
) -> None:
    cheap, dear = money.spend(fee=50), money.spend(fee=5000)
    run(live.accept(cheap))
    run(live.accept(dear))
    again = restart(run, make_mempool, tmp_path, min_relay_fee=5000)
    assert [entry.txid for entry in again.entries()] == [dear.id]


def test_the_expired_is_not_taken_back(
    run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any, chain: Any
) -> None:
    run(live.accept(money.spend(fee=1000)))
    chain.clock.time += 336 * 3600
    assert len(restart(run, make_mempool, tmp_path)) == 0


def test_a_reorganised_block_gives_back_for_good(
    run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any, chain: Any
) -> None:
    tx = money.spend(fee=1000)
    chain.mine(tx)
    chain.disconnect(finish=True)
    assert tx.id in live
    assert tx.id in restart(run, make_mempool, tmp_path)


def test_nothing_is_kept_where_the_node_is_told_so(run: Run, make_mempool: Make, tmp_path: Path, money: Any) -> None:
    mempool = restart(run, make_mempool, tmp_path, persist=False)
    run(mempool.accept(money.spend(fee=1000)))
    with pytest.raises(OSError):
        run(mempool.save())
    assert not (tmp_path / "mempool").exists()


def test_during_the_initial_download_it_waits(
    run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any, chain: Any
) -> None:
    fill(run, live, money, chain)
    before = state(live)
    chain.coins.available = False
    again = make_mempool(tmp_path)
    run(again.load())
    assert not again.loaded
    run(again.close())
    third = make_mempool(tmp_path)
    run(third.load())
    chain.coins.available = True

    back = Back(3)
    third.subscribe(back)

    async def later() -> None:
        chain.finish()
        async with asyncio.timeout(5):
            await back.all_here.wait()

    run(later())
    assert state(third) == before


class Back:
    """Waits for so many transactions."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.all_here = asyncio.Event()

    def added(self, entry: Any) -> None:
        self.left -= 1
        if not self.left:
            self.all_here.set()

    def returned(self, entry: Any) -> None:
        raise AssertionError(f"{entry.txid.hex()} is no news")

    def removed(self, entry: Any, reason: Any) -> None:
        raise AssertionError(f"{entry.txid.hex()} left: {reason}")


def test_a_full_disk_refuses_and_loses_nothing(
    run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any, chain: Any
) -> None:
    """A limit on the size of files stands for the full disk."""
    fill(run, live, money, chain)
    before = state(live)
    big = money.spend(outputs=[TxOut(90_000_000, money.anyone)], pad=3000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(OSError) as failed:
            run(live.accept(big))
        done = []
        with pytest.raises(OSError):
            for number in range(100):
                run(live.prioritise(bytes([number]) * 31 + b"x", 5))
                done.append(bytes([number]) * 31 + b"x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failed.value.errno == errno.EFBIG
    assert big.id not in live
    again = restart(run, make_mempool, tmp_path)
    assert state(again)[0] == before[0]
    assert [txid for txid, delta in again.prioritised().items() if delta == 5] == done
    run(again.accept(big))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a filesystem may not be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_fills_up(run: Run, make_mempool: Make, small_disk: Path, money: Any) -> None:
    mempool = restart(run, make_mempool, small_disk)
    accepted = []
    with pytest.raises(OSError) as failed:
        for number in range(200):
            tx = money.spend(fee=5000 + number, pad=3000)
            run(mempool.accept(tx))
            accepted.append(tx.id)
    assert failed.value.errno == errno.ENOSPC
    assert 20 < len(accepted) < 90
    assert len(mempool) == len(accepted)
    with pytest.raises(OSError):
        run(mempool.save())
    again = restart(run, make_mempool, small_disk)
    assert {entry.txid for entry in again.entries()} == set(accepted)
    with pytest.raises(OSError):
        run(again.accept(money.spend(fee=9000, pad=3000)))
    assert len(again) == len(accepted)


def test_a_save_without_room_keeps_the_journal(
    run: Run, make_mempool: Make, live: Mempool, tmp_path: Path, money: Any, chain: Any
) -> None:
    fill(run, live, money, chain)
    before = state(live)
    (tmp_path / "mempool.dat.new").mkdir()
    with pytest.raises(OSError):
        run(live.save())
    assert state(restart(run, make_mempool, tmp_path)) == before


def test_a_damaged_dump_does_not_stop_the_node(run: Run, make_mempool: Make, tmp_path: Path) -> None:
    (tmp_path / "mempool.dat").write_bytes(b"\xff" * 100)
    assert len(restart(run, make_mempool, tmp_path)) == 0


def test_nor_do_files_that_can_t_be_read(run: Run, make_mempool: Make, tmp_path: Path, caplog: Any) -> None:
    """Root's, where root copied them there; here they are no files."""
    for name in ("mempool.dat", "fee_estimates.dat"):
        (tmp_path / name).mkdir()
    assert len(restart(run, make_mempool, tmp_path)) == 0
    for name in ("mempool.dat", "fee_estimates.dat"):
        assert f"'{tmp_path / name}'; going on without" in caplog.text


def test_cores_directory_is_taken_over(
    run: Run, make_mempool: Make, tmp_path: Path, vectors: Path, core_chain: Any, core_answers: dict[str, Any]
) -> None:
    with tarfile.open(vectors / "core-regtest" / "datadir.tar.xz") as archive:
        archive.extract("regtest/mempool.dat", tmp_path)
    mempool = restart(run, lambda *args, **more: make_mempool(*args, on=core_chain, **more), tmp_path / "regtest")
    info = core_answers["getmempoolinfo"]["result"]
    assert (len(mempool), mempool.total_vsize) == (info["size"], info["bytes"])
    assert mempool.total_fee == round(info["total_fee"] * 100_000_000)
    assert len(mempool.unbroadcast) == info["unbroadcastcount"]
    assert [entry.txid.hex() for entry in mempool.entries()] == core_answers["getrawmempool"]["result"]
