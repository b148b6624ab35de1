"""Which fee rate a transaction is to pay, and by whose word (``src/wallet/fees.cpp``). Rates are in sat/kvB."""

from dataclasses import dataclass
from enum import StrEnum

from bitcoind_mp.interfaces.chain import Chain, FeePolicy
from bitcoind_mp.wallet.options import WalletOptions

from .control import CoinControl, FeeMode
from .errors import RateTooLow, SpendError
from .rates import sat_per_vb

#: The farthest target that the estimator tracks, in blocks.
MAX_TARGET = 1008


class FeeReason(StrEnum):
    """Why the rate is what it is, in Core's words (``StringForFeeReason``)."""

    NONE = "None"
    HALF_ESTIMATE = "Half Target 60% Threshold"
    FULL_ESTIMATE = "Target 85% Threshold"
    DOUBLE_ESTIMATE = "Double Target 95% Threshold"
    CONSERVATIVE = "Conservative Double Target longer horizon"
    MEMPOOL_MIN = "Mempool Min Fee"
    FALLBACK = "Fallback fee"
    REQUIRED = "Minimum Required Fee"


@dataclass(frozen=True)
class FeeChoice:
    """A rate and where it comes from."""

    rate: int
    reason: str


def required_rate(policy: FeePolicy, options: WalletOptions) -> int:
    """What no transaction of ours may pay less than: ``-mintxfee``, or what the node relays."""
    return max(options.min_tx_fee, policy.min_relay)


async def minimum_rate(chain: Chain, policy: FeePolicy, options: WalletOptions, control: CoinControl) -> FeeChoice:
    """The person's rate, or the estimate for their target, or the fallback; never less than what is required
    (``GetMinimumFeeRate``). A fallback of 0 is returned as it is: `check_rate` refuses it."""
    if control.rate is not None:
        chosen = FeeChoice(control.rate, FeeReason.NONE)
        if control.override_min_rate:
            return chosen
    else:
        chosen = await _estimate(chain, options, control)
        if chosen.reason == FeeReason.FALLBACK and chosen.rate == 0:
            return chosen
        if chosen.rate < policy.mempool_min:
            chosen = FeeChoice(policy.mempool_min, FeeReason.MEMPOOL_MIN)
    required = required_rate(policy, options)
    return chosen if chosen.rate >= required else FeeChoice(required, FeeReason.REQUIRED)


async def _estimate(chain: Chain, options: WalletOptions, control: CoinControl) -> FeeChoice:
    signals = options.signal_rbf if control.signal_rbf is None else control.signal_rbf
    conservative = not signals
    if control.fee_mode is not FeeMode.UNSET:
        conservative = control.fee_mode is FeeMode.CONSERVATIVE
    target = options.tx_confirm_target if control.confirm_target is None else control.confirm_target
    estimate = await chain.estimate_fee(target, conservative)
    if not estimate.rate:
        return FeeChoice(options.fallback_fee, FeeReason.FALLBACK)
    return FeeChoice(estimate.rate, estimate.reason)


def check_rate(policy: FeePolicy, options: WalletOptions, control: CoinControl, chosen: FeeChoice) -> None:
    """Refuse to change a rate that a person gave, and to go on without any.

    Raises:
        RateTooLow: the first.
        SpendError: the second.
    """
    if control.rate is not None and chosen.rate > control.rate:
        message = (
            f"Fee rate ({sat_per_vb(control.rate)}) is lower than "
            f"the minimum fee rate setting ({sat_per_vb(chosen.rate)})."
        )
        if chosen.reason == FeeReason.REQUIRED:
            message += (
                f"\nConsider modifying -mintxfee ({sat_per_vb(options.min_tx_fee)}) "
                f"or -minrelaytxfee ({sat_per_vb(policy.min_relay)})."
            )
        raise RateTooLow(message)
    if chosen.reason == FeeReason.FALLBACK and options.fallback_fee == 0:
        raise SpendError("Fee estimation failed. Fallbackfee is disabled. Wait a few blocks or enable -fallbackfee.")


async def discard_rate(chain: Chain, policy: FeePolicy, options: WalletOptions) -> int:
    """At which rate change is given up that would cost more to spend than it is worth (``GetDiscardRate``)."""
    estimate = (await chain.estimate_fee(MAX_TARGET, False)).rate
    rate = min(estimate, options.discard_fee) if estimate else options.discard_fee
    return max(rate, policy.dust_relay)
