"""``scantxoutset``: found is what the set of coins holds, in the database and over it."""

import asyncio
from decimal import Decimal

import pytest
from btclib_wallet.descriptors import add_checksum

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.node.rpc.scan import ScanCommands

from .conftest import ANYONE

COINBASE_MATURITY = 100
OURS = add_checksum(f"raw({ANYONE.hex()})")


async def submit_all(chain, blocks) -> None:
    for raw in blocks:
        assert (await chain.submit_block(raw)).accepted


def test_coins_are_found_in_the_database_and_over_it(chain_at, run, maker) -> None:
    async def body():
        async with chain_at() as chain:
            commands = ScanCommands(chain)
            blocks = maker.chain(maker.genesis_hash, 1, COINBASE_MATURITY + 1)
            await submit_all(chain, blocks)
            in_memory = await commands.scantxoutset(
                "start",
                [f"raw({ANYONE.hex()})", "raw(51)"],
            )
            await chain.settle()
            on_disk = await commands.scantxoutset("start", [{"desc": OURS, "range": 5}])
            assert in_memory == on_disk
            assert on_disk["success"] and on_disk["txouts"] == COINBASE_MATURITY + 1
            assert (on_disk["height"], on_disk["bestblock"]) == (chain.height, chain.tip.hash.hex())
            assert on_disk["total_amount"] == Decimal("5050.00000000")
            first = next(each for each in on_disk["unspents"] if each["height"] == 1)
            assert first == {
                "txid": first["txid"],
                "vout": 0,
                "scriptPubKey": ANYONE.hex(),
                "desc": OURS,
                "amount": Decimal("50.00000000"),
                "coinbase": True,
                "height": 1,
                "blockhash": chain.by_height(1).hash.hex(),
                "confirmations": COINBASE_MATURITY + 1,
            }
            txids = [bytes.fromhex(each["txid"])[::-1] for each in on_disk["unspents"]]
            assert txids == sorted(txids)
            spending = maker.spend(bytes.fromhex(first["txid"]), 0, 1, 2)
            await submit_all(chain, [maker.block(chain.tip.hash, chain.height + 1, spending)])
            after = await commands.scantxoutset("start", [OURS])
            assert first["txid"] not in {each["txid"] for each in after["unspents"]}
            assert {(each["txid"], each["vout"]) for each in after["unspents"]} >= {
                (spending.id.hex(), 0),
                (spending.id.hex(), 1),
            }

    run(body())


def test_one_scan_at_a_time_which_can_be_watched_and_aborted(chain_at, run, maker) -> None:
    async def body():
        async with chain_at() as chain:
            commands = ScanCommands(chain)
            assert await commands.scantxoutset("status") is None
            assert await commands.scantxoutset("abort") is False
            await submit_all(chain, maker.chain(maker.genesis_hash, 1, 3))
            scanning = asyncio.create_task(commands.scantxoutset("start", [OURS]))
            await asyncio.sleep(0)
            assert await commands.scantxoutset("status") == {"progress": 0}
            with pytest.raises(RpcError, match="Scan already in progress"):
                await commands.scantxoutset("start", [OURS])
            assert await commands.scantxoutset("abort") is True
            assert (await scanning)["success"] is False
            assert await commands.scantxoutset("status") is None

    run(body())


def test_what_is_not_a_scan_is_refused_and_leaves_none_behind(chain_at, run) -> None:
    async def body():
        async with chain_at() as chain:
            commands = ScanCommands(chain)
            for arguments, message in (
                (("frobnicate",), "Invalid action 'frobnicate'"),
                (("start",), "scanobjects argument is required for the start action"),
                (("start", [1]), "Scan object needs to be either a string or an object"),
                (("start", [{"range": 1}]), "Descriptor needs to be provided in scan object"),
                (("start", [{"desc": "raw(51)", "range": [2, 1]}]), "must not have begin after end"),
                (("start", ["raw(zz)"]), "Raw script is not hex"),
                (
                    (
                        "start",
                        [
                            "wpkh(tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B/0h)"
                        ],
                    ),
                    "Cannot derive script without private keys: 'wpkh",
                ),
            ):
                with pytest.raises(RpcError, match=message):
                    await commands.scantxoutset(*arguments)
                assert await commands.scantxoutset("status") is None

    run(body())
