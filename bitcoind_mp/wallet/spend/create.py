"""Making a transaction: whom it pays, from which coins, with what change and fee (``CreateTransaction``,
``src/wallet/spend.cpp``).

The wallet's `spending` lock is held by the caller from here to the commit. What doesn't belong: the ledger, JSON.
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from btclib.script.witness import Witness
from btclib.tx import OutPoint as TxOutPoint
from btclib.tx import Tx, TxIn, TxOut

from bitcoind_mp.interfaces.chain import FeePolicy
from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.wallet.coins import OutPoint
from bitcoind_mp.wallet.wallet import Reservation, Wallet

from .available import Inputs
from .candidates import Candidate, total_amount
from .change import change_type_for
from .choose import SelectionParams, change_target, select_coins
from .control import CoinControl, Recipient
from .errors import SpendError
from .fees import check_rate, discard_rate, minimum_rate
from .limits import check_chain_limits
from .locktime import SEQUENCE_NONFINAL, SEQUENCE_RBF, discourage_fee_sniping
from .rates import SCALE, compact_size, dust_limit, fee_for, is_dust, money, output_size
from .selection import Selection
from .signer import sign
from .sizes import TxSize, transaction_size

#: Weight that no relayed transaction exceeds, and size in bytes without witness that none goes below.
MAX_STANDARD_TX_WEIGHT = 400_000
MIN_STANDARD_TX_SIZE = 65
#: Size in virtual bytes of a nested P2WPKH input: what change is taken to cost where we can't sign it.
_NESTED_INPUT = 91
MAX_FEE_EXCEEDED = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Created:
    """A transaction that was made, not yet the wallet's. ``fee`` in satoshis; ``change`` is the position of its change
    output, if any. ``reserved`` are the change addresses that it has used up."""

    tx: Tx
    fee: int
    change: int | None
    reason: str
    selection: Selection
    reserved: list[Reservation] = field(default_factory=list)


async def create_transaction(
    wallet: Wallet,
    recipients: Sequence[Recipient],
    control: CoinControl,
    *,
    change_position: int | None = None,
    signed: bool = True,
    rng: random.Random | None = None,
) -> Created:
    """Make a transaction that pays the recipients.

    Where it costs no more (``-maxapsfee``), the coins of an address are spent together. On success the change addresses
    count as used; on failure they are given back.

    Raises:
        SpendError: it can't be made, with Core's words.
        RpcError: the wallet is locked (-13) or the node away (-9).
    """
    rng = rng or random.SystemRandom()
    if not recipients:
        raise SpendError("Transaction must have at least one recipient")
    if any(recipient.amount < 0 for recipient in recipients):
        raise SpendError("Transaction amounts must not be negative")
    first = await _Attempt(wallet, recipients, control, change_position, signed, rng).run()
    if first.fee <= 0 or wallet.options.max_aps_fee < 0 or control.avoid_partial_spends:
        return first
    grouping = control.copy()
    grouping.avoid_partial_spends = True
    if first.change is not None:
        grouping.change_script = first.tx.vout[first.change].script_pub_key.script
    try:
        grouped = await _Attempt(wallet, recipients, grouping, change_position, signed, rng).run()
    except SpendError:
        return first
    use_grouped = grouped.fee <= first.fee + wallet.options.max_aps_fee
    log.debug("fee ungrouped %d, grouped %d, using %s", first.fee, grouped.fee, use_grouped)
    better = grouped if use_grouped else first
    return replace(better, reserved=first.reserved + grouped.reserved)


class _Attempt:
    """One try, with or without grouping."""

    def __init__(
        self,
        wallet: Wallet,
        recipients: Sequence[Recipient],
        control: CoinControl,
        change_position: int | None,
        signed: bool,
        rng: random.Random,
    ) -> None:
        self.wallet, self.recipients, self.control = wallet, recipients, control
        self.change_position, self.signed, self.rng = change_position, signed, rng
        self.inputs = Inputs(wallet, control)
        self.payments = sum(recipient.amount for recipient in recipients)
        self.subtract_fee = any(recipient.subtract_fee for recipient in recipients)
        self.reservation: Reservation | None = None
        self.no_change_because = ""

    async def run(self) -> Created:
        try:
            return await self._run()
        except BaseException:
            if self.reservation is not None:
                self.wallet.release(self.reservation)
            raise

    async def _run(self) -> Created:
        wallet, control = self.wallet, self.control
        max_weight = self._max_weight()
        policy = await wallet.chain.fee_policy()
        for recipient in self.recipients:
            if is_dust(recipient.amount, recipient.script, policy.dust_relay):
                raise SpendError("Transaction amount too small")
        change_script = self._change_script()
        discard = await discard_rate(wallet.chain, policy, wallet.options)
        chosen = await minimum_rate(wallet.chain, policy, wallet.options, control)
        check_rate(policy, wallet.options, control, chosen)
        params = self._params(chosen.rate, discard, change_script, max_weight)
        selection = await self._select(params)
        change = selection.change(params.min_viable_change, params.change_fee)
        position = self._place_change(change)
        tx = await self._build(selection, position, change, change_script)
        size = self._measure(tx, selection)
        needed = fee_for(chosen.rate, size.vsize) + selection.bump_fees
        fee = self._settle(tx, selection, position, needed, policy)
        if position is not None and not change_script:
            raise SpendError(self.no_change_because)
        if self.signed and not await sign(wallet, tx):
            raise SpendError("Signing transaction failed")
        await self._check(tx, size, fee)
        log.info(
            "Coin Selection: Algorithm:%s, Waste Metric Score:%s; Fee:%d Bytes:%d Reason:%s",
            selection.algorithm,
            selection.waste,
            fee,
            size.vsize,
            chosen.reason,
        )
        reserved = [self.reservation] if self.reservation else []
        return Created(tx, fee, position, chosen.reason, selection, reserved)

    def _max_weight(self) -> int:
        weight = MAX_STANDARD_TX_WEIGHT if self.control.max_weight is None else self.control.max_weight
        least = MIN_STANDARD_TX_SIZE * SCALE
        if not least <= weight <= MAX_STANDARD_TX_WEIGHT:
            raise SpendError(f"Maximum transaction weight must be between {least} and {MAX_STANDARD_TX_WEIGHT}")
        return weight

    def _change_script(self) -> bytes:
        """Where change goes; empty where there is no address for it, which matters only if change is needed."""
        if self.control.change_script is not None:
            return self.control.change_script
        kind = change_type_for(self.wallet, self.control.change_type, [r.script for r in self.recipients])
        try:
            self.reservation = self.wallet.reserve_change(kind)
        except RpcError as error:
            self.no_change_because = f"Transaction needs a change address, but we can't generate it. {error.message}"
            return b""
        return self.reservation.script

    def _params(self, rate: int, discard: int, change_script: bytes, max_weight: int) -> SelectionParams:
        options, control = self.wallet.options, self.control
        change_size = output_size(change_script)
        change_vsize = self.inputs.vsize(change_script)
        spend_fee = fee_for(discard, _NESTED_INPUT if change_vsize == -1 else change_vsize)
        change_fee = fee_for(rate, change_size)
        # 4 bytes of version and of lock time each, an input count, and a virtual byte for marker, flag and stack size
        size = 10 + compact_size(len(self.recipients)) + sum(output_size(r.script) for r in self.recipients)
        return SelectionParams(
            rng=self.rng,
            rate=rate,
            long_term_rate=options.consolidate_fee,
            change_size=change_size,
            change_fee=change_fee,
            cost_of_change=spend_fee + change_fee,
            min_change_target=change_target(self.payments // len(self.recipients), change_fee, self.rng),
            min_viable_change=max(spend_fee + 1, dust_limit(change_script, discard)),
            size_without_inputs=size,
            max_weight=max_weight,
            subtract_fee=self.subtract_fee,
            avoid_partial_spends=control.avoid_partial_spends,
            include_unsafe=control.include_unsafe,
            spend_zero_conf_change=options.spend_zero_conf_change,
            reject_long_chains=options.reject_long_chains,
            version=control.version,
        )

    async def _select(self, params: SelectionParams) -> Selection:
        control = self.control
        target = self.payments + (0 if self.subtract_fee else fee_for(params.rate, params.size_without_inputs))
        if target == 0 and not control.presets:
            raise SpendError(
                "Transaction requires one destination of non-zero value, a non-zero feerate, or a pre-selected input"
            )
        preset: list[Candidate] = []
        available: list[Candidate] = []
        if control.presets:
            preset = await self.inputs.chosen(params.rate, params.long_term_rate)
        if control.allow_other_inputs:
            available = await self.inputs.available(params.rate, params.long_term_rate)
        selection = await select_coins(
            self.wallet.chain, available, preset, target, params, allow_other_inputs=control.allow_other_inputs
        )
        if selection is not None:
            return selection
        coins = preset + available
        if sum(coin.amount for coin in coins) >= self.payments and total_amount(coins, subtract_fee=False) < target:
            fee = money(target - self.payments)
            raise SpendError(f"The total exceeds your balance when the {fee} transaction fee is included.")
        raise SpendError("Insufficient funds")

    def _place_change(self, change: int) -> int | None:
        if change <= 0:
            return None
        if self.change_position is None:
            return self.rng.randrange(len(self.recipients) + 1)
        if self.change_position > len(self.recipients):
            raise SpendError("Transaction change output index out of range")
        return self.change_position

    async def _build(self, selection: Selection, position: int | None, change: int, change_script: bytes) -> Tx:
        control = self.control
        outputs = [TxOut(r.amount, r.script, check_validity=False) for r in self.recipients]
        if position is not None:
            outputs.insert(position, TxOut(change, change_script, check_validity=False))
        coins = list(selection.coins)
        self.rng.shuffle(coins)
        if control.presets and control.is_ordered:
            coins.sort(key=lambda coin: _place(control, coin.outpoint))
        tx = Tx(control.version, 0, [self._input(coin.outpoint) for coin in coins], outputs, check_validity=False)
        preset_sequence = any(
            control.presets[coin.outpoint].sequence is not None for coin in coins if coin.outpoint in control.presets
        )
        if control.locktime is not None:
            tx.lock_time = control.locktime
        elif not preset_sequence:
            await discourage_fee_sniping(tx, self.wallet, self.rng)
        return tx

    def _input(self, outpoint: OutPoint) -> TxIn:
        preset = self.control.presets.get(outpoint)
        signals = self.wallet.options.signal_rbf if self.control.signal_rbf is None else self.control.signal_rbf
        sequence = SEQUENCE_RBF if signals else SEQUENCE_NONFINAL
        if preset is not None and preset.sequence is not None:
            sequence = preset.sequence
        return TxIn(
            TxOutPoint(outpoint.txid, outpoint.n, check_validity=False),
            preset.script_sig if preset else b"",
            sequence,
            Witness(preset.witness) if preset else None,
            check_validity=False,
        )

    def _measure(self, tx: Tx, selection: Selection) -> TxSize:
        scripts = {coin.outpoint: coin.script for coin in selection.coins}
        sizes = [
            self.inputs.size(outpoint, scripts[outpoint])
            for outpoint in (OutPoint(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin)
        ]
        size = transaction_size(sizes, [output.script_pub_key.script for output in tx.vout])
        if size is None:
            raise SpendError("Missing solving data for estimating transaction size")
        return size

    def _settle(self, tx: Tx, selection: Selection, position: int | None, needed: int, policy: FeePolicy) -> int:
        """Make the fee exact: what was estimated too high goes to the change, and recipients bear what they are to."""
        fee = selection.value - sum(output.value for output in tx.vout)
        if fee < 0:
            raise SpendError("Internal bug detected: Fee paid < 0")
        if position is not None and needed < fee:
            tx.vout[position] = _worth(tx.vout[position], tx.vout[position].value + fee - needed)
            fee = needed
        if self.subtract_fee:
            self._subtract(tx, position, needed - fee, policy)
            fee = needed
        if needed > fee:
            raise SpendError("Internal bug detected: Fee needed > fee paid")
        return fee

    def _subtract(self, tx: Tx, position: int | None, amount: int, policy: FeePolicy) -> None:
        """Take ``amount`` from the recipients that bear the fee: the first also pays what can't be divided."""
        payees = [number for number, recipient in enumerate(self.recipients) if recipient.subtract_fee]
        # Division toward zero, as in C++, where the fee was overestimated and there is something to give back.
        share, rest = abs(amount) // len(payees), abs(amount) % len(payees)
        sign_ = -1 if amount < 0 else 1
        for number in payees:
            place = number + (1 if position is not None and number >= position else 0)
            output = tx.vout[place]
            value = output.value - sign_ * (share + (rest if number == payees[0] else 0))
            if is_dust(value, output.script_pub_key.script, policy.dust_relay):
                if value < 0:
                    raise SpendError("The transaction amount is too small to pay the fee")
                raise SpendError("The transaction amount is too small to send after the fee has been deducted")
            tx.vout[place] = _worth(output, value)

    async def _check(self, tx: Tx, size: TxSize, fee: int) -> None:
        if (tx.weight if self.signed else size.weight) > MAX_STANDARD_TX_WEIGHT:
            raise SpendError("Transaction too large")
        if fee > self.wallet.options.max_tx_fee:
            raise SpendError(MAX_FEE_EXCEEDED)
        if self.wallet.options.reject_long_chains:
            await check_chain_limits(self.wallet.chain, tx)


def _worth(output: TxOut, value: int) -> TxOut:
    """The output with another amount."""
    return TxOut(value, output.script_pub_key, check_validity=False)


def _place(control: CoinControl, outpoint: OutPoint) -> tuple[bool, int]:
    """Chosen inputs in their order, then the others."""
    preset = control.presets.get(outpoint)
    if preset is None or preset.position is None:
        return True, 0
    return False, preset.position
