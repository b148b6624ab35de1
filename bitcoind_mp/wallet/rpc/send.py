"""`send`, and what it shares with `sendall`: from an unsigned transaction to an answer."""

import random
from typing import Any, TypedDict

from btclib.script.witness import Witness
from btclib.tx import Tx

from bitcoind_mp.interfaces.command import Call, command, commit_point
from bitcoind_mp.render.construct import construct_transaction, output_pairs, parse_outputs
from bitcoind_mp.render.json_values import expect, integer
from bitcoind_mp.signing.psbt import extract
from bitcoind_mp.signing.psbt import finalize as finalize_psbt
from bitcoind_mp.signing.psbt_writer import encode_psbt
from bitcoind_mp.wallet.addressing.address_source import Reservation
from bitcoind_mp.wallet.spend.locktime import SEQUENCE_NONFINAL, SEQUENCE_RBF, discourage_fee_sniping
from bitcoind_mp.wallet.spend.psbt import blank_psbt, fill_psbt
from bitcoind_mp.wallet.spend.signer import sign
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .committing import coin_control
from .fund import fund
from .funding_options import input_weights_of
from .payment_options import (
    Numeric,
    fee_bearers,
    merge_fee_options,
    recipients_of,
    refuse_outdated,
)


class SendOptions(TypedDict, total=False):
    """What may be said of how a payment is made.

    Args:
        add_inputs: Add the wallet's coins to those named by inputs. Default: true where none are named.
        include_unsafe: Use coins too that are not safe to spend: others' unconfirmed payments, and unconfirmed
            replacements. Default: false.
        minconf: With add_inputs, use coins with at least this many confirmations. Default: 0.
        maxconf: With add_inputs, use coins with at most this many confirmations.
        add_to_wallet: Keep the transaction in the wallet and send it; false: only return it. Default: true.
        change_address: The address that gets the change. Default: a new one.
        change_position: The index of the change output, from 0. Default: random.
        change_type: The type of the change's address. Only where no change address is given. One of legacy,
            p2sh-segwit, bech32 and bech32m. Default: -changetype.
        include_watching: No longer used.
        inputs: Coins to spend instead of those that the wallet chooses: objects of txid, vout, and optionally sequence
            and weight (in weight units).
        locktime: Raw lock time: a height, or seconds since 1970 from 500000000 on. Default: about the present height.
        lock_unspents: Lock the coins that are chosen. Default: false.
        psbt: Always return a PSBT, and send nothing. Default: only where it can't be signed completely.
        subtract_fee_from_outputs: The indexes of the outputs that bear the fee, in equal parts. Default: the sender
            pays.
        max_tx_weight: The most that the transaction may weigh, in weight units. Default: 400000.
        replaceable: Signal that this transaction can be replaced (BIP 125). Default: the wallet's.
        solving_data: Keys and scripts to work out the size of inputs by that aren't the wallet's: an object of pubkeys,
            scripts and descriptors, each a list of strings.
    """

    add_inputs: bool
    include_unsafe: bool
    minconf: int
    maxconf: int
    add_to_wallet: bool
    change_address: str
    change_position: int
    change_type: str
    include_watching: bool
    inputs: list[Any]
    locktime: int
    lock_unspents: bool
    psbt: bool
    subtract_fee_from_outputs: list[Any]
    max_tx_weight: int
    replaceable: bool
    solving_data: dict[str, Any]


class SendCommands:
    """`send`."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet", options="options", changes=True)
    async def send(
        self,
        call: Call,
        outputs: Any,
        conf_target: int | None = None,
        estimate_mode: str | None = None,
        fee_rate: Numeric = None,
        options: SendOptions | None = None,
        version: int = 2,
    ) -> dict[str, Any]:
        """Send a transaction.

        What can't be signed completely comes back as a PSBT and is not sent.

        Args:
            outputs (json array): Objects of one address and its amount in BTC, or of "data" and hex; or one object of
                all of them.
            conf_target: Confirmation target in blocks. Default: -txconfirmtarget.
            estimate_mode: unset, economical or conservative.
            fee_rate: A fee rate in sat/vB instead of an estimate.
            options: How the payment is made.
            version: Transaction version.

        Returns:
            An object of complete, and of txid, hex and psbt where they apply.

        Examples:
            send '{"bc1q...": 0.1}' 6 economical
            -named send outputs='{"bc1q...": 0.3}' fee_rate=25
        """
        wallet = await self._wallets.current(call)
        given: dict[str, Any] = {**(options or {})}
        merge_fee_options(conf_target, estimate_mode, fee_rate, given)
        refuse_outdated(given)
        chain = wallet.options.chain
        rbf = expect(given["replaceable"], "bool") if "replaceable" in given else wallet.options.signal_rbf
        names = [name for name, _ in output_pairs(outputs)]
        bearers = fee_bearers(given.get("subtract_fee_from_outputs"), names)
        recipients = recipients_of(parse_outputs(outputs, chain), bearers)
        inputs = given.get("inputs")
        tx = construct_transaction(inputs, outputs, given.get("locktime"), rbf, version, chain)
        control = coin_control(wallet)
        control.version = version
        control.allow_other_inputs = not tx.vin
        if "max_tx_weight" in given:
            control.max_weight = integer(given["max_tx_weight"])
        input_weights_of(inputs, given)
        async with wallet.spending:
            created = await fund(wallet, tx, recipients, given, control, override_min_rate=False)
            return await finish(wallet, created.tx, given, created.reserved)


async def finish(wallet: Wallet, tx: Tx, options: dict[str, Any], reserved: list[Reservation]) -> dict[str, Any]:
    """Sign the transaction; commit it, or tell it, as the options say (``FinishTransaction``). The wallet's `spending`
    lock is held. ``reserved`` are the change addresses that it uses."""
    wants_psbt = "psbt" in options and expect(options["psbt"], "bool")
    add_to_wallet = expect(options["add_to_wallet"], "bool") if "add_to_wallet" in options else True
    may_lock = "locktime" not in options and all(
        tx_in.sequence in (SEQUENCE_NONFINAL, SEQUENCE_RBF) for tx_in in tx.vin
    )
    try:
        if may_lock:
            await discourage_fee_sniping(tx, wallet, random.SystemRandom())
        if add_to_wallet and not wants_psbt and not wallet.keys.is_locked and await sign(wallet, tx):
            # Nobody will see a PSBT, and a transaction of many inputs takes long to go through one.
            return {"txid": await _commit(wallet, tx, reserved), "complete": True}
        return await _by_psbt(wallet, tx, wants_psbt, add_to_wallet, reserved)
    finally:
        for reservation in reserved:
            wallet.addresses.keep(reservation)


async def _by_psbt(
    wallet: Wallet, tx: Tx, wants_psbt: bool, add_to_wallet: bool, reserved: list[Reservation]
) -> dict[str, Any]:
    for tx_in in tx.vin:
        tx_in.script_sig, tx_in.script_witness = b"", Witness()
    psbt = blank_psbt(tx)
    await fill_psbt(wallet, psbt, signed=False)
    await fill_psbt(wallet, psbt, derivations=False)
    complete = finalize_psbt(psbt)
    result: dict[str, Any] = {}
    if wants_psbt or not complete or not add_to_wallet:
        result["psbt"] = encode_psbt(psbt)
    if complete:
        signed = extract(psbt)
        result["txid"] = signed.id.hex()
        if add_to_wallet and not wants_psbt:
            await _commit(wallet, signed, reserved)
        else:
            result["hex"] = signed.serialize(include_witness=True, check_validity=False).hex()
    result["complete"] = complete
    return result


async def _commit(wallet: Wallet, tx: Tx, reserved: list[Reservation]) -> str:
    """Make it the wallet's; ``reserved`` is emptied, its addresses being kept by that."""
    commit_point()
    change = reserved.copy()
    reserved.clear()
    return (await wallet.commit(tx.serialize(include_witness=True, check_validity=False), change=change)).hex()
