"""`sendall`: everything that the wallet has, or the inputs that a person names, to the payees in equal parts."""

from typing import Any, TypedDict

from btclib.tx import OutPoint as TxOutPoint
from btclib.tx import Tx, TxIn, TxOut

from bitcoind_mp.interfaces.chain import FeePolicy
from bitcoind_mp.interfaces.command import Call, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.render.construct import construct_transaction
from bitcoind_mp.render.json_values import expect, integer
from bitcoind_mp.wallet.coins import OutPoint
from bitcoind_mp.wallet.spend.available import Inputs, check_truc
from bitcoind_mp.wallet.spend.control import CoinControl
from bitcoind_mp.wallet.spend.errors import RateTooLow, SpendError
from bitcoind_mp.wallet.spend.fees import check_rate, minimum_rate
from bitcoind_mp.wallet.spend.limits import (
    MAX_FEE_EXCEEDED,
    MAX_STANDARD_TX_WEIGHT,
    TRUC_CHILD_MAX_WEIGHT,
    TRUC_MAX_WEIGHT,
    TRUC_VERSION,
)
from bitcoind_mp.wallet.spend.locktime import SEQUENCE_RBF
from bitcoind_mp.wallet.spend.rates import fee_for, is_dust
from bitcoind_mp.wallet.spend.sizes import transaction_size
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .committing import coin_control
from .payment_options import Numeric, merge_fee_options, read_depths, refuse_outdated, set_fee
from .send import finish

_SEQUENCE_FINAL = 0xFFFFFFFF


class SendAllOptions(TypedDict, total=False):
    """What may be said of how everything is sent.

    Args:
        add_to_wallet: Keep the transaction in the wallet and send it; false: only return it. Default: true.
        include_watching: No longer used.
        inputs: Exactly the coins to spend: objects of txid, vout, and optionally sequence. Not together with send_max,
            minconf or maxconf.
        locktime: Raw lock time: a height, or seconds since 1970 from 500000000 on. Default: about the present height.
        lock_unspents: Lock the coins that are spent. Default: false.
        psbt: Always return a PSBT, and send nothing. Default: only where it can't be signed completely.
        send_max: Leave coins that cost more in fees than they are worth. Not together with inputs. Default: false.
        minconf: Use coins with at least this many confirmations. Default: 0.
        maxconf: Use coins with at most this many confirmations.
        version: Transaction version. Default: 2.
        replaceable: Signal that this transaction can be replaced (BIP 125). Default: the wallet's.
        solving_data: Keys and scripts to work out the size of inputs by that aren't the wallet's: an object of pubkeys,
            scripts and descriptors, each a list of strings.
    """

    add_to_wallet: bool
    include_watching: bool
    inputs: list[Any]
    locktime: int
    lock_unspents: bool
    psbt: bool
    send_max: bool
    minconf: int
    maxconf: int
    version: int
    replaceable: bool
    solving_data: dict[str, Any]


class SendAllCommands:
    """`sendall`."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet", options="options", changes=True)
    async def sendall(
        self,
        call: Call,
        recipients: list[Any],
        conf_target: int | None = None,
        estimate_mode: str | None = None,
        fee_rate: Numeric = None,
        options: SendAllOptions | None = None,
    ) -> dict[str, Any]:
        """Spend all (or named) confirmed coins and unconfirmed change of the wallet to one or more recipients.

        Unconfirmed payments from others and locked coins stay. Many small coins may cost more than they are worth: see
        send_max.

        Args:
            recipients: Addresses, which share what is left, and objects of an address and its amount in BTC.
            conf_target: Confirmation target in blocks. Default: -txconfirmtarget.
            estimate_mode: unset, economical or conservative.
            fee_rate: A fee rate in sat/vB instead of an estimate.
            options: How the payment is made.

        Returns:
            An object of complete, and of txid, hex and psbt where they apply.

        Examples:
            -named sendall recipients='["bc1q..."]' fee_rate=1
        """
        wallet = await self._wallets.current(call)
        given: dict[str, Any] = {**(options or {})}
        merge_fee_options(conf_target, estimate_mode, fee_rate, given)
        refuse_outdated(given)
        async with wallet.spending:
            sweep = await _Sweep.begin(wallet, recipients, given)
            await sweep.choose()
            await sweep.settle()
            if "lock_unspents" in given and expect(given["lock_unspents"], "bool"):
                wallet.lock_coins(sweep.outpoints)
            return await finish(wallet, sweep.tx, given, [])


class _Sweep:
    """One `sendall` on its way."""

    def __init__(
        self, wallet: Wallet, options: dict[str, Any], control: CoinControl, policy: FeePolicy, rate: int
    ) -> None:
        self.wallet, self.options, self.control = wallet, options, control
        self.policy, self.rate = policy, rate
        self.inputs = Inputs(wallet, control)
        self.tx = Tx(check_validity=False)
        self.sharers: set[str] = set()
        self.replaceable = True
        self.total = 0
        self.send_max = False
        self.max_weight = TRUC_MAX_WEIGHT if control.version == TRUC_VERSION else MAX_STANDARD_TX_WEIGHT

    @classmethod
    async def begin(cls, wallet: Wallet, recipients: list[Any], options: dict[str, Any]) -> "_Sweep":
        """Read the parameters and settle the fee rate."""
        sharers = {recipient for recipient in recipients if isinstance(recipient, str)}
        outputs = [{item: 0} if isinstance(item, str) else item for item in recipients]
        if not sharers:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Must provide at least one address without a specified amount")
        control = coin_control(wallet)
        set_fee(control, options.get("conf_target"), options.get("estimate_mode"), options.get("fee_rate"))
        read_depths(control, options, negative="Invalid minconf (minconf cannot be negative): {}")
        if "version" in options:
            control.version = integer(options["version"])
        rbf = expect(options["replaceable"], "bool") if "replaceable" in options else wallet.options.signal_rbf
        policy = await wallet.chain.fee_policy()
        chosen = await minimum_rate(wallet.chain, policy, wallet.options, control)
        try:
            check_rate(policy, wallet.options, control, chosen)
        except RateTooLow as error:
            raise RpcError(RpcCode.INVALID_PARAMETER, str(error)) from error
        except SpendError as error:
            raise RpcError(RpcCode.WALLET_ERROR, str(error)) from error
        sweep = cls(wallet, options, control, policy, chosen.rate)
        sweep.sharers, sweep.replaceable = sharers, rbf
        sweep.tx = construct_transaction(
            options.get("inputs"), outputs, options.get("locktime"), rbf, control.version, wallet.options.chain
        )
        return sweep

    @property
    def outpoints(self) -> list[OutPoint]:
        return [OutPoint(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in self.tx.vin]

    async def choose(self) -> None:
        """Find the inputs and what they are worth."""
        options = self.options
        self.send_max = expect(options["send_max"], "bool") if "send_max" in options else False
        if "inputs" in options and "send_max" in options:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Cannot combine send_max with specific inputs.")
        if "inputs" in options and ("minconf" in options or "maxconf" in options):
            raise RpcError(RpcCode.INVALID_PARAMETER, "Cannot combine minconf or maxconf with specific inputs.")
        if "inputs" in options:
            self.total = sum(self._named(outpoint) for outpoint in self.outpoints)
            return
        for coin in await self.inputs.available(self.rate, 0, self.inputs.filter(min_amount=0)):
            if self.send_max and fee_for(self.rate, coin.vsize) > coin.amount:
                continue
            if coin.depth == 0 and self.control.version == TRUC_VERSION:
                self.max_weight = TRUC_CHILD_MAX_WEIGHT
            prev_out = TxOutPoint(coin.outpoint.txid, coin.outpoint.n, check_validity=False)
            sequence = SEQUENCE_RBF if self.replaceable else _SEQUENCE_FINAL
            self.tx.vin.append(TxIn(prev_out, b"", sequence, check_validity=False))
            self.total += coin.amount

    def _named(self, outpoint: OutPoint) -> int:
        """The amount of an input that a person named."""
        utxo = f"UTXO ({outpoint})"
        if self.wallet.is_spent(outpoint):
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Input not available. {utxo} was already spent.")
        coin, parent = self.wallet.coin(outpoint), self.wallet.transaction(outpoint.txid)
        if coin is None or parent is None:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Input not found. {utxo} is not part of wallet.")
        if self.wallet.depth(parent) == 0:
            try:
                check_truc(coin.version, self.control.version)
            except SpendError as error:
                raise RpcError(RpcCode.INVALID_PARAMETER, str(error)) from error
        return coin.amount

    async def settle(self) -> None:
        """Give the payees what is left after the fee."""
        remainder = await self._remainder()
        share, rest = divmod(remainder, len(self.sharers))
        for number, output in enumerate(self.tx.vout):
            script = output.script_pub_key.script
            address = encode_address(script, self.wallet.options.chain)
            if address in self.sharers:
                value, rest = share + rest, 0
                self.tx.vout[number] = TxOut(value, output.script_pub_key, check_validity=False)
                if is_dust(value, script, self.policy.dust_relay):
                    raise RpcError(
                        RpcCode.WALLET_INSUFFICIENT_FUNDS, "Dynamically assigned remainder results in dust output."
                    )
            elif is_dust(output.value, script, self.policy.dust_relay):
                raise RpcError(
                    RpcCode.INVALID_PARAMETER,
                    f"Specified output amount to {address or ''} is below dust threshold.",
                )

    async def _remainder(self) -> int:
        """What the inputs are worth after the fee and the amounts that were named."""
        coins = [self.wallet.coin(outpoint) for outpoint in self.outpoints]
        sizes = [self.inputs.size(coin.outpoint, coin.script) for coin in coins if coin is not None]
        size = transaction_size(sizes, [output.script_pub_key.script for output in self.tx.vout])
        if size is None or len(sizes) != len(coins):
            raise RpcError(
                RpcCode.WALLET_ERROR,
                "Unable to determine the size of the transaction, the wallet contains unsolvable descriptors",
            )
        fee = fee_for(self.rate, size.vsize)
        asked = [(outpoint.txid.hex(), outpoint.n) for outpoint in self.outpoints]
        bump = await self.wallet.chain.combined_bump_fee(asked, self.rate)
        worth = self.total - fee - bump
        if fee > self.wallet.options.max_tx_fee:
            raise RpcError(RpcCode.WALLET_ERROR, MAX_FEE_EXCEEDED)
        if worth <= 0:
            advice = (
                ", try using lower feerate."
                if self.send_max
                else ". Try using lower feerate or excluding uneconomic UTXOs with 'send_max' option."
            )
            raise RpcError(
                RpcCode.WALLET_INSUFFICIENT_FUNDS, f"Total value of UTXO pool too low to pay for transaction{advice}"
            )
        if size.weight > self.max_weight:
            raise RpcError(RpcCode.WALLET_ERROR, "Transaction too large.")
        claimed = sum(output.value for output in self.tx.vout)
        if claimed > self.total:
            raise RpcError(RpcCode.WALLET_INSUFFICIENT_FUNDS, "Assigned more value to outputs than available funds.")
        if worth < claimed:
            raise RpcError(
                RpcCode.WALLET_INSUFFICIENT_FUNDS, "Insufficient funds for fees after creating specified outputs."
            )
        return worth - claimed
