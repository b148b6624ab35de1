"""Files of blocks in both formats, whole and damaged, in order and not."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from bitcoind_mp.node.chain.loader import BlockLoader, read_blocks
from bitcoind_mp.node.chain.params import params_for

MAGIC = params_for("regtest").magic
VECTORS = Path(os.environ.get("BITCOIND_MP_VECTORS") or Path(__file__).resolve().parents[5] / "shared" / "vectors")


def framed(blocks: list[bytes], gap: bytes = b"") -> bytes:
    return b"".join(MAGIC + len(raw).to_bytes(4, "little") + raw + gap for raw in blocks)


@pytest.fixture
def blocks(maker) -> list[bytes]:
    return maker.chain(maker.genesis_hash, 1, 6)


@pytest.mark.parametrize("gap", [b"", bytes(8), bytes(100_000), MAGIC, MAGIC + b"\xff" * 4], ids=len)
def test_framed_blocks_are_found_whatever_stands_between(blocks, tmp_path: Path, gap: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(gap + framed(blocks, gap))
    assert list(read_blocks(path, MAGIC)) == blocks


def test_hex_lines(blocks, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("\n".join(raw.hex() for raw in blocks[:3]) + "\n\n" + blocks[3].hex().upper())
    assert list(read_blocks(path, MAGIC)) == blocks[:4]


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert list(read_blocks(tmp_path / "f", MAGIC)) == []


def test_a_file_is_loaded_in_whatever_order(blocks, chain_at, run, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(framed([blocks[4], blocks[1], blocks[0], blocks[5], blocks[3], blocks[2], blocks[2]]))

    async def body():
        async with chain_at(tmp_path / "d") as chain:
            loader = BlockLoader(chain, path)
            await loader.run()
            assert (chain.height, loader.loaded) == (6, 6)

    run(body())


@pytest.mark.parametrize("damage", ["missing", "cut", "not hex", "no block"])
def test_a_damaged_file_is_loaded_as_far_as_it_goes(blocks, chain_at, run, tmp_path: Path, damage: str, caplog) -> None:
    path = tmp_path / "f"
    if damage == "cut":
        path.write_bytes(framed(blocks)[:-5])
    elif damage == "not hex":
        path.write_text("\n".join(raw.hex() for raw in blocks[:5]) + "\nxyz\n")
    elif damage == "no block":
        path.write_bytes(framed([*blocks[:5], blocks[5][:-1]]))

    async def body():
        async with chain_at(tmp_path / "d") as chain:
            await BlockLoader(chain, path).run()
            assert chain.height == (0 if damage == "missing" else 5)

    run(body())
    assert any(record.levelname == "WARNING" and str(path) in record.getMessage() for record in caplog.records)


def test_a_file_that_does_not_come_holds_up_the_kernel_and_not_the_loop(blocks, chain_at, run, tmp_path: Path) -> None:
    fifo = tmp_path / "f"
    os.mkfifo(fifo)

    async def body():
        async with chain_at(tmp_path / "d") as chain:
            loading = asyncio.create_task(BlockLoader(chain, fifo).run())
            while chain.kernel_busy is None:  # noqa: ASYNC110 (there is no event for what another thread does)
                await asyncio.sleep(0)
            assert "open a file of blocks" in chain.kernel_busy[0]
            assert await chain.read_block(chain.genesis) == chain.params.genesis_raw, "others are served meanwhile"
            writer = threading.Thread(target=fifo.write_bytes, args=(framed(blocks),))
            writer.start()
            await loading
            writer.join()
            assert chain.height == 6

    run(body())


@pytest.mark.skipif(not VECTORS.is_dir(), reason=f"no vectors in {VECTORS}")
@pytest.mark.parametrize(
    ("name", "height", "tip"),
    [
        ("regtest-206-blocks.hex", 206, "3de082158b117acd088306c395d09771bb7cbf0b7355796c1b1e0bd748ef9bed"),
        ("core-regtest/blocks.hex", 112, "2bd1731d3a286af897c4cec694ea190f653ad66865b3027d5332a44201198b45"),
    ],
)
def test_the_known_chains_load_to_their_tips(chain_at, run, tmp_path: Path, name: str, height: int, tip: str) -> None:
    from bitcoind_mp.node.chain.clock import Clock

    async def body():
        async with chain_at(tmp_path, clock=Clock()) as chain:
            await BlockLoader(chain, VECTORS / name).run()
            assert (chain.height, chain.tip.hash.hex()) == (height, tip)

    run(body())
