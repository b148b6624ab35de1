"""Transactions that are brought in by a proof, and taken out."""

from dataclasses import replace

from btclib.block.partial_merkle_tree import PartialMerkleTree
from btclib.hashes import hash256

from bitcoind_mp.wallet.coins import OutPoint
from bitcoind_mp.wallet.importing import ImportRequest, import_descriptor
from bitcoind_mp.wallet.rpc.pruned import PrunedCommands

BTC = 100_000_000


def mine_proved(bench, *txs):
    """A block with these transactions whose hash is its header's; and what proves each of them."""
    block = bench.chain.mine(*txs)
    ids = [bench.txid_of(raw) for raw in block.txs]
    tree = PartialMerkleTree.from_txids(ids, [raw in txs for raw in block.txs])
    header = block.raw[:36] + tree.merkle_root[::-1] + block.raw[68:80]
    block.ref = replace(block.ref, hash=hash256(header)[::-1].hex())
    return block, (header + tree.serialize()).hex()


def test_a_proved_payment_counts_and_a_removed_one_doesn_t(on_bench):
    async def scenario(bench):
        payer = await bench.wallet("payer")
        script = bench.receive(payer)
        raw = bench.make_tx([(b"\7" * 32, 0)], [(BTC, script)])
        other = bench.make_tx([(b"\7" * 32, 1)], [(BTC, bench.STRANGER)])
        block, proof = mine_proved(bench, raw, other)
        bench.chain.mine()
        await bench.chain.deliver()
        wallet = await bench.wallet(disable_private_keys=True)
        text = payer.descriptors.get(payer.owner(script).descriptor).normalized
        await import_descriptor(wallet, ImportRequest(text, bench.NOW, range=(0, 5)), bench.NOW + 10**6)
        commands, call = PrunedCommands(bench.wallets), bench.call()
        broken = proof[:200] + ("0" if proof[200] != "0" else "1") + proof[201:]
        elsewhere = bytes.fromhex(proof)
        unknown = (elsewhere[:4] + bytes(32) + elsewhere[36:]).hex()
        for transaction, told, code, message in [
            ("00", proof, -22, "TX decode failed. Make sure the tx has at least one input."),
            (raw.hex(), broken, -5, "Something wrong with merkleblock"),
            (raw.hex(), proof[:-2], -1, "SpanReader::read(): end of data: iostream error"),
            (raw.hex(), unknown, -5, "Block not found in chain"),
            (
                bench.make_tx([(b"\7" * 32, 2)], [(1, script)]).hex(),
                proof,
                -5,
                "Transaction given doesn't exist in proof",
            ),
            (other.hex(), proof, -5, "No addresses in wallet correspond to included transaction"),
        ]:
            error = await bench.refused(commands.importprunedfunds(call, transaction, told))
            assert (error.code, error.message) == (code, message)
        assert len(wallet.history) == 0
        await commands.importprunedfunds(call, raw.hex(), proof)
        assert wallet.balance().trusted == BTC
        tx = wallet.transaction(bench.txid_of(raw))
        assert (wallet.depth(tx), tx.state.position, tx.state.block.hex()) == (2, 1, block.ref.hash)
        spend = bench.make_tx([(bench.txid_of(raw), 0)], [(BTC // 2, bench.STRANGER)])
        bench.chain.mine(spend)
        await bench.chain.deliver()
        assert wallet.balance().trusted == 0
        commands.removeprunedfunds(call, bench.txid_of(spend))
        assert wallet.balance().trusted == BTC
        commands.removeprunedfunds(call, bench.txid_of(raw))
        assert (wallet.balance().trusted, wallet.coin(OutPoint(bench.txid_of(raw), 0)), len(wallet.history)) == (
            0,
            None,
            0,
        )
        await bench.restart()
        assert len(bench.loaded().history) == 0

        async def again():
            PrunedCommands(bench.wallets).removeprunedfunds(call, bench.txid_of(raw))

        error = await bench.refused(again())
        name = bench.txid_of(raw).hex()
        assert (error.code, error.message) == (-4, f"Transaction {name} does not belong to this wallet")

    on_bench(scenario)
