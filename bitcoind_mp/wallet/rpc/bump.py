"""`bumpfee` and `psbtbumpfee`: a higher fee for a transaction that waits."""

from typing import Any, TypedDict

from btclib.tx import TxOut

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import Call, Hash, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.construct import parse_outputs
from bitcoind_mp.render.json_values import check_object, expect, integer
from bitcoind_mp.signing.psbt_writer import encode_psbt
from bitcoind_mp.wallet.spend.bumper import Bumped, bump_transaction, check_bumpable
from bitcoind_mp.wallet.spend.control import CoinControl
from bitcoind_mp.wallet.spend.errors import BumpError
from bitcoind_mp.wallet.spend.psbt import blank_psbt, fill_psbt
from bitcoind_mp.wallet.spend.signer import sign
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .committing import coin_control, commit, keep_change
from .payment_options import Numeric, set_fee

_TYPES = {
    "confTarget": "number",
    "conf_target": "number",
    "fee_rate": "any",
    "replaceable": "bool",
    "estimate_mode": "string",
    "outputs": "any",
    "original_change_index": "number",
}


class BumpOptions(TypedDict, total=False):
    """What may be said of the replacement.

    Args:
        conf_target: Confirmation target in blocks. Default: -txconfirmtarget.
        fee_rate: A fee rate in sat/vB instead of an estimate; higher than the original's by the incremental relay fee
            at least.
        replaceable: Signal that the replacement can be replaced (BIP 125). Default: true.
        estimate_mode: Which estimate: unset, economical or conservative. Default: unset.
        outputs: New outputs instead of the original's: objects of one address and its amount in BTC, or of "data" and
            hex. Not together with original_change_index.
        original_change_index: Which output of the original is the change, from 0. Default: found out. Not together with
            outputs.
    """

    conf_target: int
    fee_rate: Numeric
    replaceable: bool
    estimate_mode: str
    outputs: list[Any]
    original_change_index: int


class BumpCommands:
    """Paying more for what was sent already."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet", options="options", changes=True)
    async def bumpfee(self, call: Call, txid: Hash, options: BumpOptions | None = None) -> dict[str, Any]:
        """Replace an unconfirmed transaction of the wallet's by one that pays a higher fee, and send that.

        The additional fee comes out of the change, or of more inputs. All inputs of the original are spent again. It
        fails where the wallet or the mempool has a transaction that spends from the original.

        Args:
            txid: The transaction to be bumped.
            options: How the replacement is made.

        Returns:
            An object of txid, the new one; origfee and fee, in BTC; and errors, a list of strings.

        Examples:
            bumpfee "txid"
        """
        wallet = await self._wallets.current(call)
        if not wallet.private_keys_enabled:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                "bumpfee is not available with wallets that have private keys disabled. Use psbtbumpfee instead.",
            )
        request = _Request(wallet, options)
        wallet.require_unlocked()
        async with wallet.spending:
            bumped = await request.bump(txid, require_mine=True)
            if not await sign(wallet, bumped.created.tx):
                raise RpcError(RpcCode.WALLET_ERROR, "Can't sign transaction.")
            try:
                await check_bumpable(wallet, bumped.original, require_mine=False)
            except BumpError as error:
                raise RpcError(RpcCode.WALLET_ERROR, error.message) from error
            replacement = await commit(
                wallet,
                bumped.created,
                comment=bumped.original.comment,
                comment_to=bumped.original.comment_to,
                replaces=txid,
            )
        return {"txid": replacement.hex(), **_fees(bumped)}

    @command("wallet", options="options", changes=True)
    async def psbtbumpfee(self, call: Call, txid: Hash, options: BumpOptions | None = None) -> dict[str, Any]:
        """Like bumpfee, but answers a PSBT of the replacement instead of signing and sending it.

        Args:
            txid: The transaction to be bumped.
            options: How the replacement is made.

        Returns:
            An object of psbt, in Base64; origfee and fee, in BTC; and errors, a list of strings.

        Examples:
            psbtbumpfee "txid"
        """
        wallet = await self._wallets.current(call)
        request = _Request(wallet, options)
        wallet.require_unlocked()
        async with wallet.spending:
            bumped = await request.bump(txid, require_mine=False)
            keep_change(wallet, bumped.created)
            psbt = blank_psbt(bumped.created.tx)
            await fill_psbt(wallet, psbt, signed=False)
        return {"psbt": encode_psbt(psbt), **_fees(bumped)}


class _Request:
    """The options, read."""

    def __init__(self, wallet: Wallet, options: BumpOptions | None) -> None:
        self.wallet = wallet
        self.control: CoinControl = coin_control(wallet)
        self.control.signal_rbf = True
        self.outputs: list[TxOut] = []
        self.change_index: int | None = None
        given: dict[str, Any] = {**(options or {})}
        check_object(given, _TYPES, allow_null=True, strict=True)
        if "confTarget" in given and "conf_target" in given:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                "confTarget and conf_target options should not both be set. "
                "Use conf_target (confTarget is deprecated).",
            )
        target = given["confTarget"] if "confTarget" in given else given.get("conf_target")
        if "replaceable" in given:
            self.control.signal_rbf = expect(given["replaceable"], "bool")
        set_fee(self.control, target, given.get("estimate_mode"), given.get("fee_rate"))
        if given.get("outputs") is not None:
            if given["outputs"] == []:
                raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, output argument cannot be an empty array")
            parsed = parse_outputs(given["outputs"], wallet.options.chain)
            self.outputs = [TxOut(amount, script, check_validity=False) for script, amount in parsed]
        if "original_change_index" in given:
            self.change_index = integer(given["original_change_index"], signed=False)

    async def bump(self, txid: bytes, *, require_mine: bool) -> Bumped:
        try:
            return await bump_transaction(
                self.wallet,
                txid,
                self.control,
                require_mine=require_mine,
                outputs=self.outputs,
                change_index=self.change_index,
            )
        except BumpError as error:
            raise RpcError(error.code, error.message) from error


def _fees(bumped: Bumped) -> dict[str, Any]:
    return {"origfee": btc(bumped.old_fee), "fee": btc(bumped.new_fee), "errors": []}
