"""Damage that leaves a wallet file whole as a database: found before anything is paid to it or said about it."""

import sqlite3

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.wallet.coins import OutputType

BTC = 100_000_000
XPRV = "tprv8ZgxMBicQKsPdBNKLoqKtUH2KdteQ3DGBFyUggY8i5Qi1v6km9UHTcEr8z9Ca3gGkvTDQY55k717u8WkF4JTpPN2dvmSnsC8VihU8YeVv3y"


async def damaged(bench, table, column, change):
    """A wallet with a transaction, unloaded; that column is changed in each row of its file."""
    wallet = await bench.wallet()
    bench.chain.mine(bench.make_tx([(b"\7" * 32, 0)], [(BTC, bench.receive(wallet))]))
    await bench.chain.deliver()
    await bench.wallets.unload("w")
    with sqlite3.connect(bench.options.wallets_dir / "w" / "wallet.sqlite") as file:
        file.create_function("change", 1, change)
        assert file.execute(f"UPDATE OR REPLACE {table} SET {column} = change({column})").rowcount > 0
    file.close()


@pytest.mark.parametrize(
    ("table", "column", "change", "words"),
    [
        ("transactions", "raw", lambda raw: raw[:-1] + b"\1", "a transaction is not what it was"),
        ("transactions", "raw", lambda raw: raw[:20], "while it was read"),
        ("secrets", "secret", lambda secret: XPRV.encode(), "a private key is not what it was"),
        ("secrets", "secret", lambda secret: secret[:-1], "a private key is not what it was"),
        ("secrets", "secret", lambda secret: b"\xff" + secret, "while it was read"),
        ("descriptors", "normalized", lambda text: text.replace("tpub", "tpub1"), "while it was read"),
        ("active", "type", lambda type: "p2x", "while it was read"),
    ],
)
def test_it_is_found_when_the_wallet_is_loaded(on_bench, table, column, change, words):
    async def scenario(bench):
        await damaged(bench, table, column, change)
        refusal = await bench.refused(bench.wallets.load("w"))
        assert refusal.code == -4
        assert "wallet.sqlite is corrupt" in refusal.message and words in refusal.message
        assert "prv" not in refusal.message and "pub" not in refusal.message, "it quotes nothing of the file"
        assert bench.wallets.get("w") is None

    on_bench(scenario)


def test_an_address_is_not_given_out_where_its_script_has_changed(on_bench):
    async def scenario(bench):
        await damaged(bench, "scripts", "script", lambda script: script[:-1] + bytes([script[-1] ^ 1]))
        wallet, _ = await bench.wallets.load("w")
        for work in (lambda type: wallet.new_address(type, ""), wallet.addresses.change):
            for type in OutputType:
                with pytest.raises(RpcError, match="an address is not what it was") as refusal:
                    work(type)
                assert refusal.value.code == -4

    on_bench(scenario)
