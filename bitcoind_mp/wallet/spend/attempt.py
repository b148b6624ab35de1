"""One try to make a transaction, with or without grouping (``CreateTransactionInternal``, ``src/wallet/spend.cpp``).

What doesn't belong: trying again (``create.py``), putting inputs and outputs together (``assemble.py``).
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from btclib.tx import Tx

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.wallet.addressing.address_source import Reservation
from bitcoind_mp.wallet.wallet import Wallet

from .assemble import build, measure, place_change, settle
from .available import Inputs
from .candidates import Candidate, total_amount
from .change import change_type_for
from .choose import SelectionParams, change_target, select_coins
from .control import CoinControl, Recipient
from .errors import SpendError
from .fees import check_rate, discard_rate, minimum_rate
from .limits import MAX_FEE_EXCEEDED, MAX_STANDARD_TX_WEIGHT, MIN_STANDARD_TX_SIZE, check_chain_limits
from .rates import SCALE, compact_size, dust_limit, fee_for, is_dust, money, output_size
from .selection import Selection
from .signer import sign
from .sizes import TxSize

log = logging.getLogger("bitcoind_mp.selectcoins")

#: Size in virtual bytes of a nested P2WPKH input: what change is taken to cost where we can't sign it.
_NESTED_INPUT = 91


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


@dataclass(frozen=True)
class Request:
    """What `create_transaction` was asked for."""

    wallet: Wallet
    recipients: Sequence[Recipient]
    control: CoinControl
    change_position: int | None
    signed: bool
    rng: random.Random


class Attempt:
    """One try, with or without grouping."""

    def __init__(self, request: Request) -> None:
        self.wallet, self.recipients, self.control = request.wallet, request.recipients, request.control
        self.change_position, self.rng = request.change_position, request.rng
        self.signed = request.signed and not request.wallet.keys.elsewhere
        self.inputs = Inputs(request.wallet, request.control)
        self.payments = sum(recipient.amount for recipient in request.recipients)
        self.subtract_fee = any(recipient.subtract_fee for recipient in request.recipients)
        self.reservation: Reservation | None = None
        self.no_change_because = ""

    async def run(self) -> Created:
        try:
            return await self._run()
        except BaseException:
            if self.reservation is not None:
                self.wallet.addresses.release(self.reservation)
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
        position = place_change(change, self.change_position, len(self.recipients), self.rng)
        tx = await build(wallet, control, self.recipients, selection, (position, change, change_script), self.rng)
        size = measure(self.inputs, tx, selection)
        needed = fee_for(chosen.rate, size.vsize) + selection.bump_fees
        fee = settle(tx, self.recipients, selection, position, needed, policy.dust_relay)
        if position is not None and not change_script:
            raise SpendError(self.no_change_because)
        if self.signed and not await sign(wallet, tx):
            raise SpendError("Signing transaction failed")
        await self._check(tx, size, fee)
        log.debug(
            "[%s] Coin Selection: Algorithm:%s, Waste Metric Score:%s; Fee:%d Bytes:%d Reason:%s",
            wallet.name,
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
            self.reservation = self.wallet.addresses.change(kind)
        except RpcError as error:
            if error.code == RpcCode.DATABASE_ERROR:
                raise
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
            max_ancestors=options.max_ancestors,
            max_cluster=options.max_cluster,
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

    async def _check(self, tx: Tx, size: TxSize, fee: int) -> None:
        if (tx.weight if self.signed else size.weight) > MAX_STANDARD_TX_WEIGHT:
            raise SpendError("Transaction too large")
        if fee > self.wallet.options.max_tx_fee:
            raise SpendError(MAX_FEE_EXCEEDED)
        if self.wallet.options.reject_long_chains:
            await check_chain_limits(self.wallet.chain, tx)
