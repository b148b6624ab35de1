"""`fundrawtransaction` and `walletcreatefundedpsbt`: coins for a transaction that is to be signed later."""

from typing import Any, TypedDict

from btclib.tx import Tx

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import Call, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.construct import construct_transaction, output_pairs, parse_outputs
from bitcoind_mp.render.json_values import expect
from bitcoind_mp.render.transaction import decode_transaction
from bitcoind_mp.signing.psbt_writer import encode_psbt
from bitcoind_mp.wallet.spend.attempt import Created
from bitcoind_mp.wallet.spend.control import CoinControl, Recipient
from bitcoind_mp.wallet.spend.errors import SpendError
from bitcoind_mp.wallet.spend.fund import fund_transaction
from bitcoind_mp.wallet.spend.limits import TRUC_MAX_WEIGHT, TRUC_VERSION
from bitcoind_mp.wallet.spend.psbt import blank_psbt, fill_psbt
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .committing import coin_control, keep_change
from .funding_options import FundingOptions, input_weights_of
from .payment_options import Numeric, fee_bearers, recipients_of


class FundOptions(TypedDict, total=False):
    """What may be said of how a transaction is funded.

    Args:
        add_inputs: Add the wallet's coins to inputs that are not enough. Default: true, but false for
            walletcreatefundedpsbt where inputs are named.
        include_unsafe: Use coins too that are not safe to spend: others' unconfirmed payments, and unconfirmed
            replacements. Default: false.
        minconf: With add_inputs, use coins with at least this many confirmations. Default: 0.
        maxconf: With add_inputs, use coins with at most this many confirmations.
        changeAddress: The address that gets the change. Default: a new one.
        changePosition: The index of the change output, from 0. Default: random.
        change_type: The type of the change's address. Only where no change address is given. One of legacy,
            p2sh-segwit, bech32 and bech32m. Default: -changetype.
        includeWatching: No longer used.
        lockUnspents: Lock the coins that are chosen. Default: false.
        fee_rate: A fee rate in sat/vB instead of an estimate.
        feeRate: The same in BTC/kvB; not both.
        subtractFeeFromOutputs: The indexes of the outputs that bear the fee, in equal parts, before a change output is
            added. Default: the sender pays.
        input_weights: Of inputs that aren't the wallet's. Objects of txid, vout and the most that the input may weigh,
            in weight units.
        max_tx_weight: The most that the transaction may weigh, in weight units. Default: 400000.
        conf_target: Confirmation target in blocks. Default: -txconfirmtarget.
        estimate_mode: Which estimate: unset, economical or conservative. Default: unset.
        replaceable: Signal that this transaction can be replaced (BIP 125). Default: the wallet's.
        solving_data: Keys and scripts to work out the size of inputs by that aren't the wallet's: an object of pubkeys,
            scripts and descriptors, each a list of strings.
    """

    add_inputs: bool
    include_unsafe: bool
    minconf: int
    maxconf: int
    changeAddress: str
    changePosition: int
    change_type: str
    includeWatching: bool
    lockUnspents: bool
    fee_rate: Numeric
    feeRate: Numeric
    subtractFeeFromOutputs: list[Any]
    input_weights: list[Any]
    max_tx_weight: int
    conf_target: int
    estimate_mode: str
    replaceable: bool
    solving_data: dict[str, Any]


class FundCommands:
    """Finding coins without spending them."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("rawtransactions", options="options", changes=True)
    async def fundrawtransaction(
        self,
        call: Call,
        hexstring: str,
        options: FundOptions | bool | None = None,
        iswitness: bool | None = None,
    ) -> dict[str, Any]:
        """Add inputs to a transaction until they cover its outputs, and one change output at most.

        Existing inputs and outputs stay as they are, but for those that are to bear the fee. Nothing is signed.
        Inputs that aren't the wallet's need solving_data.

        Args:
            hexstring: The hex string of the raw transaction.
            options (json object): How the transaction is funded.
            iswitness: Whether the hex is a serialised witness transaction. Default: found out.

        Returns:
            An object of hex, the resulting transaction; fee, in BTC; and changepos, the change output's place or -1.

        Examples:
            fundrawtransaction "rawtransactionhex"
        """
        wallet = await self._wallets.current(call)
        tx = decode_transaction(hexstring, try_witness=iswitness is not False, try_no_witness=iswitness is not True)
        if tx is None:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, "TX decode failed")
        given: dict[str, Any] = {} if isinstance(options, bool) or options is None else {**options}
        outputs = [(output.script_pub_key.script, output.value) for output in tx.vout]
        bearers = fee_bearers(given.get("subtractFeeFromOutputs"), ["dummy"] * len(outputs))
        control = coin_control(wallet)
        async with wallet.spending:
            created = await fund(wallet, tx, recipients_of(outputs, bearers), given, control, override_min_rate=True)
            keep_change(wallet, created)
        return {
            "hex": created.tx.serialize(include_witness=True, check_validity=False).hex(),
            "fee": btc(created.fee),
            "changepos": -1 if created.change is None else created.change,
        }

    @command("wallet", options="options", changes=True)
    async def walletcreatefundedpsbt(
        self,
        call: Call,
        inputs: list[Any] | None,
        outputs: Any,
        locktime: int = 0,
        options: FundOptions | None = None,
        bip32derivs: bool = True,
        version: int = 2,
    ) -> dict[str, Any]:
        """Create and fund a transaction in the Partially Signed Transaction format (the Creator and Updater roles).

        Args:
            inputs: Objects of txid, vout, and optionally sequence and weight. Empty: found by the wallet.
            outputs (json array): Objects of one address and its amount in BTC, or of "data" and hex; or one object of
                all of them.
            locktime: Raw lock time. One other than 0 also activates it in the inputs.
            options (json object): How the transaction is funded.
            bip32derivs: Tell the keys' derivation paths where they are known.
            version: Transaction version.

        Returns:
            An object of psbt, in Base64; fee, in BTC; and changepos, the change output's place or -1.

        Examples:
            walletcreatefundedpsbt "[]" '[{"bc1q...":0.5}]' 0 '{"fee_rate":2}'
        """
        wallet = await self._wallets.current(call)
        given: dict[str, Any] = {**(options or {})}
        chain = wallet.options.chain
        replaceable = given.get("replaceable")
        rbf = wallet.options.signal_rbf if replaceable is None else expect(replaceable, "bool")
        tx = construct_transaction(inputs, outputs, locktime, rbf, version, chain)
        names = [name for name, _ in output_pairs(outputs)]
        bearers = fee_bearers(given.get("subtractFeeFromOutputs"), names)
        recipients = recipients_of(parse_outputs(outputs, chain), bearers)
        control = coin_control(wallet)
        control.version = version
        control.allow_other_inputs = not tx.vin
        input_weights_of(inputs, given)
        async with wallet.spending:
            created = await fund(wallet, tx, recipients, given, control, override_min_rate=True)
            keep_change(wallet, created)
            psbt = blank_psbt(created.tx)
            await fill_psbt(wallet, psbt, signed=False, derivations=bip32derivs)
        return {
            "psbt": encode_psbt(psbt),
            "fee": btc(created.fee),
            "changepos": -1 if created.change is None else created.change,
        }


async def fund(
    wallet: Wallet,
    tx: Tx,
    recipients: list[Recipient],
    options: dict[str, Any],
    control: CoinControl,
    *,
    override_min_rate: bool,
) -> Created:
    """Read the options and fund the transaction (``FundTransaction`` of ``src/wallet/rpc/spend.cpp``).

    Raises:
        RpcError: -4 with the reason where it can't be funded.
    """
    read = FundingOptions(
        control, options, wallet.options.chain, outputs=len(recipients), override_min_rate=override_min_rate
    )
    if tx.version == TRUC_VERSION and (control.max_weight is None or control.max_weight > TRUC_MAX_WEIGHT):
        control.max_weight = TRUC_MAX_WEIGHT
    if not recipients:
        raise RpcError(RpcCode.INVALID_PARAMETER, "TX must have at least one output")
    try:
        return await fund_transaction(
            wallet, tx, recipients, control, change_position=read.change_position, lock_coins=read.lock_coins
        )
    except SpendError as error:
        raise RpcError(RpcCode.WALLET_ERROR, str(error)) from error
