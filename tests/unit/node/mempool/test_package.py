"""Several transactions at once: ``testmempoolaccept`` and ``submitpackage``."""

from collections.abc import Callable
from typing import Any

import pytest
from btclib.script.witness import Witness
from btclib.tx import Tx, TxOut

from bitcoind_mp.node.mempool.pool import Mempool

Run = Callable[[Any], Any]


def chain_of(money: Any, count: int, fee: int = 1000) -> list[Tx]:
    txs = [money.spend(fee=fee)]
    for _ in range(count - 1):
        txs.append(money.spend(money.output(txs[-1]), fee=fee))
    return txs


def test_a_chain_is_acceptable_together(run: Run, mempool: Mempool, money: Any) -> None:
    txs = chain_of(money, 3)
    result = run(mempool.test(txs))
    assert [each.accepted.fee for each in result.results if each.accepted] == [1000] * 3
    assert result.package_message == ""
    assert len(mempool) == 0


def test_words_for_broken_packages(run: Run, mempool: Mempool, money: Any) -> None:
    def message(*txs: Tx) -> str:
        result = run(mempool.test(list(txs)))
        assert result.package_policy
        assert all(each.accepted is each.rejected is None for each in result.results)
        return str(result.package_message)

    parent, child = chain_of(money, 2)
    assert message(child, parent) == "package-not-sorted"
    assert message(parent, parent) == "package-contains-duplicates"
    assert message(parent, money.spend(parent.vin[0].prev_out, fee=5)) == "conflict-in-package"
    assert message(*[money.spend(fee=1000) for _ in range(26)]) == "package-too-many-transactions"
    assert message(*[money.spend(fee=99_000, pad=51_000) for _ in range(2)]) == "package-too-large"
    empty = Tx(2, 0, [], [TxOut(1, money.anyone)], check_validity=False)
    assert message(empty, parent) == "conflict-in-package"


def test_after_a_failure_the_rest_stays_blank(run: Run, mempool: Mempool, money: Any) -> None:
    txs = [money.spend(fee=1000), money.spend(fee=0), money.spend(fee=1000)]
    result = run(mempool.test(txs))
    assert result.package_error == "transaction failed"
    assert not result.package_policy
    reasons = [each.rejected and each.rejected.reason for each in result.results]
    assert reasons == [None, "min relay fee not met", None]
    assert not any(each.accepted for each in result.results)


def test_a_bad_script_is_told_of_its_own_transaction(run: Run, mempool: Mempool, money: Any) -> None:
    txs = [money.spend(fee=1000), money.spend(fee=1000)]
    txs[1].vin[0].script_witness = Witness([b"\x52"])
    result = run(mempool.test(txs))
    assert result.results[0].accepted is not None
    rejected = result.results[1].rejected
    assert rejected is not None
    assert rejected.reason == "mempool-script-verify-flag-failed (Witness program hash mismatch)"


def test_scripts_that_passed_before_a_bad_one_count_but_a_fee_too_high_ends_the_list(
    run: Run, mempool: Mempool, money: Any
) -> None:
    txs = [money.spend(fee=1000), money.spend(fee=1_000_000), money.spend(fee=1000), money.spend(fee=1000)]
    txs[2].vin[0].script_witness = Witness([b"\x52"])
    told = run(mempool.test(txs)).results
    assert [each.accepted is not None for each in told] == [True, True, False, False]
    assert [each.rejected is not None for each in told] == [False, False, True, False]
    capped = run(mempool.test(txs, max_fee_rate=1_000_000)).results
    assert [each.accepted is not None for each in capped] == [True, False, False, False]
    assert [index for index, each in enumerate(capped) if each.rejected] == [1]


def test_tests_of_several_replace_nothing(run: Run, mempool: Mempool, money: Any) -> None:
    point = money.coin()
    run(mempool.accept(money.spend(point, fee=1000)))
    result = run(mempool.test([money.spend(fee=1000), money.spend(point, fee=9000)]))
    rejected = result.results[1].rejected
    assert rejected is not None
    assert rejected.reason == "bip125-replacement-disallowed"


def test_the_most_a_fee_may_be(run: Run, mempool: Mempool, money: Any) -> None:
    txs = [money.spend(fee=1000), money.spend(fee=1_000_000), money.spend(fee=1000)]
    result = run(mempool.test(txs, max_fee_rate=1_000_000))
    assert result.results[0].accepted is not None
    assert result.results[1].rejected is not None
    assert result.results[1].rejected.reason == "max-fee-exceeded"
    assert result.results[2].accepted is result.results[2].rejected is None


# submitpackage


def test_a_child_pays_for_a_parent_below_the_minimum(run: Run, mempool: Mempool, money: Any) -> None:
    parent, child = money.spend(fee=0), None
    child = money.spend(money.output(parent), fee=2000)
    result = run(mempool.accept_package([parent, child]))
    assert result.package_message == ""
    rate = 2000 * 1000 // (parent.vsize + child.vsize)
    for each in result.results:
        assert each.accepted is not None
        assert each.accepted.effective_fee_rate == rate
        assert each.accepted.effective_includes == (parent.hash, child.hash)
    assert len(mempool) == 2


def test_what_stands_alone_is_taken_alone(run: Run, mempool: Mempool, money: Any) -> None:
    parent, child = chain_of(money, 2)
    result = run(mempool.accept_package([parent, child]))
    assert [each.accepted.effective_includes for each in result.results if each.accepted] == [
        (parent.hash,),
        (child.hash,),
    ]


def test_what_was_there_is_told_so(run: Run, mempool: Mempool, money: Any) -> None:
    parent, child = chain_of(money, 2)
    run(mempool.accept(parent))
    other = Tx.parse(parent.serialize(include_witness=True))
    other.vin[0].script_witness = Witness([b"\x01", b"\x51"])
    result = run(mempool.accept_package([other, child]))
    already = result.results[0].already
    assert already is not None
    assert already.other_wtxid == parent.hash
    assert result.results[1].accepted is not None


def test_a_package_that_pays_too_little_is_refused_at_its_child(run: Run, mempool: Mempool, money: Any) -> None:
    parent = money.spend(fee=0)
    child = money.spend(money.output(parent), fee=11)
    result = run(mempool.accept_package([parent, child]))
    assert result.package_error == "transaction failed"
    reasons = [str(each.rejected) for each in result.results]
    assert reasons[0] == f"min relay fee not met, 0 < {-(-parent.vsize // 10)}"
    assert reasons[1] == f"min relay fee not met, 11 < {-(-(parent.vsize + child.vsize) // 10)}"
    assert len(mempool) == 0


def test_only_a_child_with_its_parents(run: Run, mempool: Mempool, money: Any) -> None:
    result = run(mempool.accept_package([money.spend(fee=1000), money.spend(fee=1000)]))
    assert result.package_message == "package-not-child-with-parents"


def test_a_bad_member_fails_the_package_and_spares_the_good(run: Run, mempool: Mempool, money: Any) -> None:
    parent = money.spend(fee=1000)
    bad = money.spend(fee=1000, version=9)
    child = money.spend(money.output(parent), money.output(bad), fee=1000)
    result = run(mempool.accept_package([parent, bad, child]))
    assert result.package_error == "transaction failed"
    assert result.results[0].accepted is not None
    assert [each.rejected.reason for each in result.results[1:] if each.rejected] == [
        "version",
        "bad-txns-inputs-missingorspent",
    ]


def test_the_client_bounds_the_fee_rate(run: Run, mempool: Mempool, money: Any) -> None:
    parent, child = chain_of(money, 2, fee=100_000)
    result = run(mempool.accept_package([parent, child], max_fee_rate=10_000))
    assert result.results[0].rejected is not None
    assert result.results[0].rejected.reason == "max feerate exceeded"


class TestPackageReplacement:
    """A parent and a child together replace what the parent alone doesn't pay for."""

    @pytest.fixture
    def point(self, run: Run, mempool: Mempool, money: Any) -> Any:
        point = money.coin()
        run(mempool.accept(money.spend(point, fee=1000)))
        return point

    def submit(self, run: Run, mempool: Mempool, *txs: Tx) -> Any:
        return run(mempool.accept_package(list(txs)))

    def test_it_does(self, run: Run, mempool: Mempool, money: Any, point: Any) -> None:
        old = mempool.spender((point.tx_id, 0))
        parent = money.spend(point, fee=0, version=1)
        child = money.spend(money.output(parent), fee=5000)
        result = self.submit(run, mempool, parent, child)
        assert result.package_message == ""
        assert result.results[0].accepted.replaced == (old,)
        assert len(mempool) == 2

    def test_it_must_pay_for_relay(self, run: Run, mempool: Mempool, money: Any, point: Any) -> None:
        parent = money.spend(point, fee=0, version=1)
        child = money.spend(money.output(parent), fee=1001)
        message = self.submit(run, mempool, parent, child).package_message
        assert message.startswith("package RBF failed: insufficient anti-DoS fees, rejecting replacement")

    def test_the_child_must_raise_the_rate(self, run: Run, mempool: Mempool, money: Any, point: Any) -> None:
        parent = money.spend(point, fee=1005, version=1)
        child = money.spend(money.output(parent), fee=800)
        message = self.submit(run, mempool, parent, child).package_message
        assert message.startswith("package RBF failed: package feerate is less than or equal to parent feerate")

    def test_the_diagram_must_improve(self, run: Run, mempool: Mempool, money: Any, point: Any) -> None:
        parent = money.spend(point, fee=0, version=1, pad=5000)
        child = money.spend(money.output(parent), fee=3000)
        message = self.submit(run, mempool, parent, child).package_message
        assert message == "package RBF failed: insufficient feerate: does not improve feerate diagram"

    def test_one_parent_one_child(self, run: Run, mempool: Mempool, money: Any, point: Any) -> None:
        parents = [money.spend(point, fee=0, version=1), money.spend(fee=0)]
        child = money.spend(*map(money.output, parents), fee=9000)
        message = self.submit(run, mempool, *parents, child).package_message
        assert message == "package RBF failed: package must be 1-parent-1-child"

    def test_no_other_ancestors(self, run: Run, mempool: Mempool, money: Any, point: Any) -> None:
        other = money.spend(fee=1000)
        run(mempool.accept(other))
        parent = money.spend(point, fee=0, version=1)
        child = money.spend(money.output(parent), money.output(other), fee=9000)
        message = self.submit(run, mempool, parent, child).package_message
        assert message == "package RBF failed: new transaction cannot have mempool ancestors"


# ephemeral dust


def test_dust_that_the_child_spends_is_let_through(run: Run, mempool: Mempool, money: Any) -> None:
    parent = money.spend(outputs=[99_000_000, TxOut(200, money.anchor)])
    parent.vout[0] = TxOut(100_000_000 - 200, money.anyone)
    child = money.spend(money.output(parent, 0), money.output(parent, 1), outputs=[99_000_000], version=2)
    child.vin[1].script_witness = Witness()
    result = run(mempool.accept_package([parent, child]))
    assert result.package_message == ""
    assert len(mempool) == 2


def test_dust_left_unspent_is_not(run: Run, mempool: Mempool, money: Any) -> None:
    parent = money.spend(outputs=[100_000_000 - 200, TxOut(200, money.anchor)])
    child = money.spend(money.output(parent, 0), outputs=[99_000_000])
    result = run(mempool.accept_package([parent, child]))
    assert result.package_error == "unspent-dust"
    assert str(result.results[1].rejected) == (
        f"missing-ephemeral-spends, tx {child.id.hex()} (wtxid={child.hash.hex()}) "
        "did not spend parent's ephemeral dust"
    )


def test_dust_in_the_mempool_is_spent_by_every_child(run: Run, make_mempool: Any, money: Any) -> None:
    mempool = make_mempool(min_relay_fee=0)
    parent = money.spend(outputs=[100_000_000 - 200, TxOut(200, money.anchor)])
    run(mempool.accept(parent))
    child = money.spend(money.output(parent, 0), outputs=[99_000_000])
    rejected = run(mempool.test([child])).results[0].rejected
    assert rejected is not None
    assert rejected.reason == "missing-ephemeral-spends"
