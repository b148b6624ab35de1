"""`sendtoaddress` and `sendmany`."""

import random
from typing import Any

from bitcoind_mp.interfaces.command import Call, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.construct import parse_outputs
from bitcoind_mp.wallet.spend.control import CoinControl, Recipient
from bitcoind_mp.wallet.spend.create import create_transaction
from bitcoind_mp.wallet.spend.errors import SpendError
from bitcoind_mp.wallet.storage.flags import reuse_flag
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .committing import coin_control, commit
from .payment_options import Numeric, fee_bearers, recipients_of, set_fee


class PaymentCommands:
    """Paying with what the wallet has."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet", changes=True)
    async def sendtoaddress(
        self,
        call: Call,
        address: str,
        amount: Numeric,
        comment: str | None = None,
        comment_to: str | None = None,
        subtractfeefromamount: bool = False,
        replaceable: bool | None = None,
        conf_target: int | None = None,
        estimate_mode: str | None = None,
        avoid_reuse: bool | None = None,
        fee_rate: Numeric = None,
        verbose: bool = False,
    ) -> str | dict[str, Any]:
        """Send an amount to a given address.

        Requires the wallet to be unlocked.

        Args:
            address: The bitcoin address to send to.
            amount: The amount in BTC to send, for example 0.1.
            comment: What the transaction is for. Kept in the wallet, not part of the transaction.
            comment_to: Whom the transaction is for. Kept in the wallet, not part of the transaction.
            subtractfeefromamount: Take the fee from the amount: the recipient gets less.
            replaceable: Signal that this transaction can be replaced (BIP 125). Default: the wallet's.
            conf_target: Confirmation target in blocks. Default: -txconfirmtarget.
            estimate_mode: unset, economical or conservative.
            avoid_reuse: Don't spend from addresses that were spent from before (only in wallets that keep count).
            fee_rate: A fee rate in sat/vB instead of an estimate.
            verbose: Tell the reason for the fee too.

        Returns:
            The transaction id, or with verbose an object of txid and fee_reason.

        Examples:
            sendtoaddress "bc1q..." 0.1
            -named sendtoaddress address="bc1q..." amount=0.2 fee_rate=25 subtractfeefromamount=true
        """
        wallet = await self._wallets.current(call)
        control = coin_control(wallet)
        control.signal_rbf = replaceable
        control.avoid_reuse = reuse_flag(wallet.flags, avoid_reuse)
        control.avoid_partial_spends |= control.avoid_reuse
        set_fee(control, conf_target, estimate_mode, fee_rate)
        wallet.require_unlocked()
        outputs = parse_outputs({address: amount}, wallet.options.chain)
        recipients = recipients_of(outputs, {0} if subtractfeefromamount else set())
        return await self._send(wallet, recipients, control, verbose, comment or "", comment_to or "")

    @command("wallet", changes=True)
    async def sendmany(
        self,
        call: Call,
        dummy: str | None,
        amounts: dict[str, Any],
        minconf: int | None = None,
        comment: str | None = None,
        subtractfeefrom: list[Any] | None = None,
        replaceable: bool | None = None,
        conf_target: int | None = None,
        estimate_mode: str | None = None,
        fee_rate: Numeric = None,
        verbose: bool = False,
    ) -> str | dict[str, Any]:
        """Send to several addresses in one transaction.

        Requires the wallet to be unlocked.

        Args:
            dummy: Must be "".
            amounts: The addresses and the amounts in BTC.
            minconf: Ignored.
            comment: What the transaction is for. Kept in the wallet.
            subtractfeefrom: The addresses that bear the fee, in equal parts. Default: the sender pays.
            replaceable: Signal that this transaction can be replaced (BIP 125). Default: the wallet's.
            conf_target: Confirmation target in blocks. Default: -txconfirmtarget.
            estimate_mode: unset, economical or conservative.
            fee_rate: A fee rate in sat/vB instead of an estimate.
            verbose: Tell the reason for the fee too.

        Returns:
            The transaction id, or with verbose an object of txid and fee_reason.

        Examples:
            sendmany "" '{"bc1q...":0.01,"bc1p...":0.02}'
        """
        wallet = await self._wallets.current(call)
        if dummy:
            raise RpcError(RpcCode.INVALID_PARAMETER, 'Dummy value must be set to ""')
        control = coin_control(wallet)
        control.signal_rbf = replaceable
        set_fee(control, conf_target, estimate_mode, fee_rate)
        outputs = parse_outputs(amounts, wallet.options.chain)
        recipients = recipients_of(outputs, fee_bearers(subtractfeefrom, list(amounts)))
        return await self._send(wallet, recipients, control, verbose, comment or "", "")

    async def _send(
        self,
        wallet: Wallet,
        recipients: list[Recipient],
        control: CoinControl,
        verbose: bool,
        comment: str,
        comment_to: str,
    ) -> str | dict[str, Any]:
        wallet.require_unlocked()
        if not wallet.private_keys_enabled:
            raise RpcError(RpcCode.WALLET_ERROR, "Error: Private keys are disabled for this wallet")
        rng = random.SystemRandom()
        rng.shuffle(recipients)
        async with wallet.spending:
            try:
                created = await create_transaction(wallet, recipients, control, rng=rng)
            except SpendError as error:
                raise RpcError(RpcCode.WALLET_INSUFFICIENT_FUNDS, str(error)) from error
            txid = await commit(wallet, created, comment=comment, comment_to=comment_to)
        if verbose:
            return {"txid": txid.hex(), "fee_reason": str(created.reason)}
        return txid.hex()
