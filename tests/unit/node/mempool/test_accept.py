"""Each reason for which Core refuses a transaction, at its place in Core's order."""

from collections.abc import Callable
from typing import Any

import pytest
from btclib.hashes import hash160, sha256
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxIn, TxOut

from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mempool.rejected import Kind, Rejected

COIN = 100_000_000
Why = Callable[[Mempool, Tx], str]
Run = Callable[[Any], Any]
P2SH_OF_TRUE = b"\xa9\x14" + hash160(b"\x51") + b"\x87"


def test_a_good_transaction_is_accepted(run: Run, mempool: Mempool, money: Any, recorder: Any) -> None:
    tx = money.spend(fee=1000)
    accepted = run(mempool.accept(tx))
    assert (accepted.txid, accepted.wtxid, accepted.fee, accepted.vsize) == (tx.id, tx.hash, 1000, tx.vsize)
    assert accepted.effective_fee_rate == 1000 * 1000 // tx.vsize
    assert accepted.effective_includes == (tx.hash,)
    assert recorder.events == [("+", tx.id)]
    assert tx.id in mempool
    assert mempool.have(tx.hash)
    assert mempool.get(tx.id) == tx


# what a transaction is in itself


def test_a_coinbase_is_for_blocks(why: Why, mempool: Mempool, chain: Any) -> None:
    assert why(mempool, chain.coinbase()) == "coinbase"


def test_consensus_rules_come_first(why: Why, mempool: Mempool) -> None:
    assert why(mempool, Tx(9, 0, [], [], check_validity=False)) == "bad-txns-vin-empty"


@pytest.mark.parametrize("version", [0, 4, 0xFFFFFFFF])
def test_version(why: Why, mempool: Mempool, money: Any, version: int) -> None:
    assert why(mempool, money.spend(fee=1000, version=version)) == "version"


def test_tx_size(why: Why, mempool: Mempool, money: Any) -> None:
    assert why(mempool, money.spend(fee=500_000, pad=100_000)) == "tx-size"


def test_scriptsig_size(why: Why, mempool: Mempool, money: Any) -> None:
    tx = money.spend(fee=1000)
    tx.vin[0].script_sig = b"\x4d\x70\x06" + bytes(0x670)
    assert why(mempool, tx) == "scriptsig-size"


def test_scriptsig_not_pushonly(why: Why, mempool: Mempool, money: Any) -> None:
    tx = money.spend(fee=1000)
    tx.vin[0].script_sig = b"\x61"
    assert why(mempool, tx) == "scriptsig-not-pushonly"


@pytest.mark.parametrize("script", [b"", b"\x51", b"\x52\x21" + b"\x02" * 33 + b"\x51\xae"])
def test_scriptpubkey(why: Why, mempool: Mempool, money: Any, script: bytes) -> None:
    assert why(mempool, money.spend(outputs=[TxOut(1000, script)])) == "scriptpubkey"


def test_datacarrier(why: Why, make_mempool: Any, money: Any) -> None:
    tx = money.spend(fee=1000, pad=100)
    assert why(make_mempool(), tx) == ""
    assert why(make_mempool(max_datacarrier=50), tx) == "datacarrier"
    assert why(make_mempool(max_datacarrier=None), tx) == "datacarrier"


def test_bare_multisig(why: Why, make_mempool: Any, money: Any) -> None:
    script = b"\x51\x21\x02" + b"\x79" * 32 + b"\x51\xae"
    tx = money.spend(outputs=[TxOut(COIN - 1000, script)])
    assert why(make_mempool(), tx) == ""
    assert why(make_mempool(permit_bare_multisig=False), tx) == "bare-multisig"


def test_dust(why: Why, mempool: Mempool, money: Any) -> None:
    assert why(mempool, money.spend(outputs=[100, 100])) == "dust"
    assert why(mempool, money.spend(outputs=[100, COIN - 1100])) == "dust, tx with dust output must be 0-fee"


def test_tx_size_small(why: Why, mempool: Mempool, money: Any) -> None:
    """Of 64 bytes without witnesses, as long as two hashes in a merkle tree."""
    tx = money.spend(outputs=[TxOut(COIN - 1000, money.anchor)])
    assert len(tx.serialize(include_witness=False)) == 64
    assert why(mempool, tx) == "tx-size-small"


def test_nonstandard_is_let_in_where_the_node_is_told_so(why: Why, make_mempool: Any, money: Any) -> None:
    lenient = make_mempool(require_standard=False)
    assert why(lenient, money.spend(fee=1000, version=7)) == ""
    assert why(lenient, money.spend(outputs=[TxOut(COIN - 1000, b"\x51" * 10)])) == ""


# what it is to the chain


def test_non_final(why: Why, mempool: Mempool, money: Any, chain: Any) -> None:
    height, median = chain.tip.height, chain.tip.median_time
    assert why(mempool, money.spend(fee=1000, lock_time=height)) == ""
    assert why(mempool, money.spend(fee=1000, lock_time=height + 1)) == "non-final"
    assert why(mempool, money.spend(fee=1000, lock_time=median - 1)) == ""
    assert why(mempool, money.spend(fee=1000, lock_time=median)) == "non-final"
    assert why(mempool, money.spend(fee=1000, lock_time=height + 1, sequence=0xFFFFFFFF)) == ""


def test_non_bip68_final(why: Why, mempool: Mempool, money: Any, chain: Any) -> None:
    height = chain.tip.height
    young = money.coin(height=height - 4)
    assert why(mempool, money.spend(young, fee=1000, sequence=5)) == ""
    assert why(mempool, money.spend(young, fee=1000, sequence=6)) == "non-BIP68-final"
    assert why(mempool, money.spend(young, fee=1000, sequence=6, version=1)) == ""
    by_time = (chain.tip.median_time - chain.by_height(height - 5).median_time) // 512
    assert why(mempool, money.spend(young, fee=1000, sequence=1 << 22 | by_time)) == ""
    assert why(mempool, money.spend(young, fee=1000, sequence=1 << 22 | by_time + 1)) == "non-BIP68-final"


def test_a_relative_lock_on_an_unconfirmed_output_never_holds(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    parent = money.spend(fee=1000)
    run(mempool.accept(parent))
    assert why(mempool, money.spend(money.output(parent), fee=1000, sequence=1)) == "non-BIP68-final"
    assert why(mempool, money.spend(money.output(parent), fee=1000, sequence=0)) == ""


def test_missing_inputs(run: Run, why: Why, mempool: Mempool, money: Any, chain: Any) -> None:
    tx = money.spend(fee=1000)
    confirmed = chain.coins.pop((tx.vin[0].prev_out.tx_id, 0))
    assert why(mempool, tx) == "bad-txns-inputs-missingorspent"
    parent = money.spend(fee=1000)
    run(mempool.accept(parent))
    assert why(mempool, money.spend(OutPoint(parent.id, 7), outputs=[1000])) == "bad-txns-inputs-missingorspent"
    assert confirmed.height == 0


def test_txn_already_known(why: Why, mempool: Mempool, money: Any, chain: Any) -> None:
    tx = money.spend(fee=1000)
    chain.mine(tx)
    assert why(mempool, tx) == "txn-already-known"


def test_premature_coinbase_spend(why: Why, mempool: Mempool, money: Any, chain: Any) -> None:
    height = chain.tip.height + 1
    ripe, green = (money.coin(height=height - depth, coinbase=True) for depth in (100, 99))
    assert why(mempool, money.spend(ripe, fee=1000)) == ""
    assert why(mempool, money.spend(green, fee=1000)) == (
        "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 99"
    )


def test_in_belowout(why: Why, mempool: Mempool, money: Any) -> None:
    assert why(mempool, money.spend(fee=-1)) == "bad-txns-in-belowout, value in (1.00) < value out (1.00000001)"


def test_inputvalues_outofrange(why: Why, mempool: Mempool, money: Any) -> None:
    points = [money.coin(21_000_000 * COIN), money.coin(1)]
    assert why(mempool, money.spend(*points, outputs=[COIN])) == "bad-txns-inputvalues-outofrange"


# what it is to its inputs


def spending(money: Any, script: bytes, script_sig: bytes = b"", *witness: bytes) -> Tx:
    tx = money.spend(money.coin(script=script), fee=20_000)
    tx.vin[0].script_sig = script_sig
    tx.vin[0].script_witness = Witness(list(witness))
    return tx


def test_nonstandard_inputs(why: Why, mempool: Mempool, money: Any) -> None:
    start = "bad-txns-nonstandard-inputs, "
    assert why(mempool, spending(money, b"\x51")) == start + "input 0 script unknown"
    assert why(mempool, spending(money, b"\x52\x02\x01\x02")) == start + "input 0 witness program is undefined"
    assert why(mempool, spending(money, P2SH_OF_TRUE)) == start + "input 0 P2SH redeemscript missing"
    assert why(mempool, spending(money, P2SH_OF_TRUE, b"\x4c")) == "scriptsig-not-pushonly"
    malformed = spending(money, P2SH_OF_TRUE, b"\x50")
    assert why(mempool, malformed) == (start + "p2sh scriptsig malformed (input 0: Opcode missing or not understood)")


def test_p2sh_sigops(why: Why, mempool: Mempool, money: Any) -> None:
    redeem = b"\xac" * 16
    script = b"\xa9\x14" + hash160(redeem) + b"\x87"
    assert why(mempool, spending(money, script, b"\x10" + redeem)) == (
        "bad-txns-nonstandard-inputs, p2sh redeemscript sigops exceed limit (input 0: 16 > 15)"
    )


def test_bip54_sigops(why: Why, mempool: Mempool, money: Any) -> None:
    """2,501 signature checks that could run without a witness, 15 of each input."""
    redeem = b"\xac" * 15
    script = b"\xa9\x14" + hash160(redeem) + b"\x87"
    tx = money.spend(*(money.coin(script=script) for _ in range(167)), fee=100_000)
    for tx_in in tx.vin:
        tx_in.script_sig, tx_in.script_witness = b"\x0f" + redeem, Witness()
    assert why(mempool, tx) == "bad-txns-nonstandard-inputs, non-witness sigops exceed bip54 limit"


TRUE = sha256(b"\x51")


@pytest.mark.parametrize(
    ("script", "witness"),
    [
        (bytes.fromhex("51024e73"), [b"\x01"]),
        (b"\x76\xa9\x14" + bytes(20) + b"\x88\xac", [b"\x01"]),
        (b"\x00\x20" + TRUE, [bytes(3601)]),
        (b"\x00\x20" + TRUE, [b""] * 101 + [b"\x51"]),
        (b"\x00\x20" + TRUE, [bytes(81), b"\x51"]),
        (b"\x51\x20" + TRUE, [b"\x01", b"\x50"]),
        (b"\x51\x20" + TRUE, [b"\x01", b""]),
        (b"\x51\x20" + TRUE, [bytes(81), b"\x51", b"\xc0" + bytes(32)]),
    ],
)
def test_bad_witness_nonstandard(why: Why, mempool: Mempool, money: Any, script: bytes, witness: list[bytes]) -> None:
    assert why(mempool, spending(money, script, b"", *witness)) == "bad-witness-nonstandard"


def test_too_many_sigops(why: Why, mempool: Mempool, money: Any) -> None:
    script = b"\x00\x20" + sha256(b"\xac" * 3600)
    points = [money.coin(script=script) for _ in range(5)]
    tx = money.spend(*points, fee=COIN)
    for tx_in in tx.vin:
        tx_in.script_witness = Witness([b"\xac" * 3600])
    assert why(mempool, tx) == "bad-txns-too-many-sigops, 18000"


def test_sigops_count_as_size(run: Run, mempool: Mempool, money: Any) -> None:
    script = b"\x51\x63" + b"\xac" * 100 + b"\x68\x51"
    # the checks are in a branch that isn't taken
    script = b"\x00" + script[1:]
    tx = spending(money, b"\x00\x20" + sha256(script), b"", script)
    accepted = run(mempool.accept(tx))
    assert accepted.vsize == 100 * 20 // 4 > tx.vsize
    entry = mempool.entry(tx.id)
    assert entry is not None
    assert (entry.sigop_cost, entry.adjusted_weight, entry.weight) == (100, 2000, tx.weight)


# what it is to the mempool


def test_already_in_mempool(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    tx = money.spend(fee=1000)
    run(mempool.accept(tx))
    assert why(mempool, tx) == "txn-already-in-mempool"


def test_same_nonwitness_data(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    tx = money.spend(fee=1000)
    run(mempool.accept(tx))
    other = Tx.parse(tx.serialize(include_witness=True))
    other.vin[0].script_witness = Witness([b"\x01", b"\x51"])
    assert why(mempool, other) == "txn-same-nonwitness-data-in-mempool"


def test_min_relay_fee(why: Why, mempool: Mempool, money: Any) -> None:
    tx = money.spend(fee=0)
    due = -(-tx.vsize // 10)
    assert why(mempool, tx) == f"min relay fee not met, 0 < {due}"
    point = tx.vin[0].prev_out
    assert why(mempool, money.spend(point, fee=due - 1)) == f"min relay fee not met, {due - 1} < {due}"
    assert why(mempool, money.spend(point, fee=due)) == ""


def test_max_fee_exceeded(run: Run, mempool: Mempool, money: Any) -> None:
    tx = money.spend(fee=50_000)
    with pytest.raises(Rejected) as refused:
        run(mempool.accept(tx, max_fee_rate=100_000))
    assert (refused.value.reason, refused.value.kind) == ("max-fee-exceeded", Kind.MEMPOOL_POLICY)
    assert tx.id not in mempool
    run(mempool.accept(tx, max_fee_rate=1_000_000))


def test_unsigned(run: Run, mempool: Mempool, money: Any) -> None:
    tx = money.spend(fee=1000)
    tx.vin[0].script_witness = Witness([b"\x00"])
    with pytest.raises(Rejected) as refused:
        run(mempool.accept(tx))
    assert refused.value.reason == "mempool-script-verify-flag-failed (Witness program hash mismatch)"


def test_too_large_cluster_by_count(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    tx = money.spend(fee=1000)
    run(mempool.accept(tx))
    for _ in range(63):
        tx = money.spend(money.output(tx), fee=1000)
        run(mempool.accept(tx))
    assert why(mempool, money.spend(money.output(tx), fee=1000)) == "too-large-cluster"


def test_too_large_cluster_by_size(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    first = money.spend(fee=20_000, pad=90_000)
    run(mempool.accept(first))
    assert why(mempool, money.spend(money.output(first), fee=20_000, pad=10_000)) == ""
    assert why(mempool, money.spend(money.output(first), fee=20_000, pad=11_000)) == "too-large-cluster"


def test_the_order_of_the_checks_is_cores(why: Why, mempool: Mempool, money: Any, chain: Any) -> None:
    """What breaks several rules is refused for the first."""
    tx = money.spend(outputs=[TxOut(0, b"\x51")], version=9, lock_time=chain.tip.height + 5, sequence=50)
    chain.coins.clear()
    steps = ["version", "scriptpubkey", "tx-size-small", "non-final", "bad-txns-inputs-missingorspent"]
    assert why(mempool, tx) == steps[0]
    tx.version = 2
    assert why(mempool, tx) == steps[1]
    tx.vout = [TxOut(0, money.anchor)]
    assert why(mempool, tx) == steps[2]
    tx.vout = [TxOut(0, money.anyone)]
    assert why(mempool, tx) == steps[3]
    tx.lock_time = 0
    assert why(mempool, tx) == steps[4]


def test_a_block_during_the_script_checks_is_seen(run: Run, make_mempool: Any, money: Any, chain: Any) -> None:
    """The transaction is confirmed while its scripts run on the thread: it must not enter."""
    import asyncio

    loop_of: list[asyncio.AbstractEventLoop] = []
    tx = money.spend(fee=1000)

    def verify(*_: Any) -> None:
        mined = asyncio.run_coroutine_threadsafe(mine(), loop_of[0])
        mined.result(10)

    async def mine() -> None:
        chain.mine(tx)

    async def main() -> None:
        loop_of.append(asyncio.get_running_loop())
        await mempool.accept(tx)

    mempool = make_mempool(verify=verify)
    with pytest.raises(Rejected) as refused:
        run(main())
    assert refused.value.reason == "txn-already-known"
    assert len(mempool) == 0


def test_a_priority_given_during_the_script_checks_counts(run: Run, make_mempool: Any, money: Any) -> None:
    import asyncio

    loop_of: list[asyncio.AbstractEventLoop] = []
    tx = money.spend(fee=1000)

    def verify(*_: Any) -> None:
        asyncio.run_coroutine_threadsafe(mempool.prioritise(tx.id, 500), loop_of[0]).result(10)

    async def main() -> None:
        loop_of.append(asyncio.get_running_loop())
        await mempool.accept(tx)

    mempool = make_mempool(verify=verify)
    run(main())
    entry = mempool.entry(tx.id)
    assert entry is not None
    assert entry.modified_fee == 1500


def test_inputs_of_a_refused_transaction_stay_free(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    point = money.coin()
    tx = Tx(2, 0, [TxIn(point, script_witness=Witness([b"\x52"]))], [TxOut(COIN - 1000, money.anyone)])
    with pytest.raises(Rejected):
        run(mempool.accept(tx))
    assert mempool.spender((point.tx_id, 0)) is None
    assert why(mempool, money.spend(point, fee=1000)) == ""
