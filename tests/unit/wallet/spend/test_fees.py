"""Which rate is paid, and by whose word."""

from dataclasses import dataclass

import pytest

from bitcoind_mp.interfaces.chain import FeeEstimate, FeePolicy
from bitcoind_mp.wallet.options import WalletOptions
from bitcoind_mp.wallet.spend.control import CoinControl, FeeMode
from bitcoind_mp.wallet.spend.errors import RateTooLow, SpendError
from bitcoind_mp.wallet.spend.fees import FeeChoice, check_rate, discard_rate, minimum_rate

POLICY = FeePolicy(min_relay=100, mempool_min=100, incremental_relay=100, dust_relay=3000)


@dataclass
class Estimator:
    """The one method of a chain that rates ask for; remembers what it was asked."""

    rate: int | None
    asked: tuple[int, bool] = (0, False)

    async def estimate_fee(self, target: int, conservative: bool) -> FeeEstimate:
        self.asked = (target, conservative)
        return FeeEstimate(self.rate, target, [], "Target 85% Threshold")


def choose(run, estimate: int | None, *, policy: FeePolicy = POLICY, control=None, **options) -> FeeChoice:
    chosen = WalletOptions(**{"fallback_fee": 20_000, **options})
    return run(minimum_rate(Estimator(estimate), policy, chosen, control or CoinControl()))


def test_the_estimate_is_taken(run) -> None:
    assert choose(run, 7_777) == FeeChoice(7_777, "Target 85% Threshold")


def test_the_fallback_is_taken_without_one(run) -> None:
    assert choose(run, None) == FeeChoice(20_000, "Fallback fee")
    assert choose(run, None, fallback_fee=0) == FeeChoice(0, "Fallback fee")


def test_nothing_is_paid_below_what_is_required(run) -> None:
    full = FeePolicy(100, 4_000, 100, 3000)
    assert choose(run, 500) == FeeChoice(1_000, "Minimum Required Fee")
    assert choose(run, 2_000, min_tx_fee=3_000) == FeeChoice(3_000, "Minimum Required Fee")
    assert choose(run, 2_000, policy=full) == FeeChoice(4_000, "Mempool Min Fee")
    assert choose(run, 500, policy=FeePolicy(1_500, 100, 100, 3000)) == FeeChoice(1_500, "Minimum Required Fee")


def test_a_persons_rate_comes_first(run) -> None:
    assert choose(run, 9_000, control=CoinControl(rate=5_000)) == FeeChoice(5_000, "None")
    assert choose(run, 9_000, control=CoinControl(rate=500)) == FeeChoice(1_000, "Minimum Required Fee")
    free = CoinControl(rate=0, override_min_rate=True)
    assert choose(run, 9_000, control=free) == FeeChoice(0, "None")


@pytest.mark.parametrize(
    ("control", "signals", "conservative"),
    [
        (CoinControl(), True, False),
        (CoinControl(), False, True),
        (CoinControl(signal_rbf=False), True, True),
        (CoinControl(signal_rbf=True), False, False),
        (CoinControl(fee_mode=FeeMode.CONSERVATIVE), True, True),
        (CoinControl(fee_mode=FeeMode.ECONOMICAL, signal_rbf=False), True, False),
    ],
)
def test_estimates_are_economical_where_the_payment_can_be_replaced(run, control, signals, conservative) -> None:
    estimator = Estimator(5_000)
    run(minimum_rate(estimator, POLICY, WalletOptions(signal_rbf=signals), control))
    assert estimator.asked == (6, conservative)


def test_the_target_is_the_persons_or_the_wallets(run) -> None:
    estimator = Estimator(5_000)
    run(minimum_rate(estimator, POLICY, WalletOptions(tx_confirm_target=9), CoinControl(confirm_target=3)))
    assert estimator.asked[0] == 3
    run(minimum_rate(estimator, POLICY, WalletOptions(tx_confirm_target=9), CoinControl()))
    assert estimator.asked[0] == 9


def test_a_persons_rate_is_never_raised_in_silence() -> None:
    asked = CoinControl(rate=900)
    with pytest.raises(RateTooLow) as caught:
        check_rate(POLICY, WalletOptions(), asked, FeeChoice(1_000, "Minimum Required Fee"))
    assert str(caught.value) == (
        "Fee rate (0.900 sat/vB) is lower than the minimum fee rate setting (1.000 sat/vB)."
        "\nConsider modifying -mintxfee (1.000 sat/vB) or -minrelaytxfee (0.100 sat/vB)."
    )
    check_rate(POLICY, WalletOptions(), asked, FeeChoice(900, "None"))


def test_a_fallback_of_nothing_is_none() -> None:
    with pytest.raises(SpendError, match="Fallbackfee is disabled"):
        check_rate(POLICY, WalletOptions(fallback_fee=0), CoinControl(), FeeChoice(0, "Fallback fee"))


@pytest.mark.parametrize(("estimate", "rate"), [(None, 10_000), (50_000, 10_000), (5_000, 5_000), (1_000, 3_000)])
def test_change_is_given_up_at_the_lower_of_estimate_and_option_but_not_below_dust(run, estimate, rate) -> None:
    estimator = Estimator(estimate)
    assert run(discard_rate(estimator, POLICY, WalletOptions())) == rate
    assert estimator.asked == (1008, False)
