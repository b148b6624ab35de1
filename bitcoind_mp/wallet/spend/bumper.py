"""Replacing a transaction of the wallet's by one that pays a higher fee (``src/wallet/feebumper.cpp``)."""

from collections.abc import Sequence
from dataclasses import dataclass

from btclib.tx import Tx, TxIn, TxOut

from bitcoind_mp.interfaces.chain import FeePolicy
from bitcoind_mp.interfaces.errors import RpcCode
from bitcoind_mp.signing.creator import verify_spend
from bitcoind_mp.wallet.transactions import WalletTx
from bitcoind_mp.wallet.wallet import Wallet

from .attempt import Created
from .available import Inputs
from .control import CoinControl, Recipient
from .create import create_transaction
from .errors import BumpError, SpendError
from .fees import minimum_rate, required_rate
from .rates import SCALE, compact_size, fee_for, money, rate_of
from .sizes import transaction_size

#: What the wallet adds at least to a fee rate, in sat/kvB, should the network ask for more than the node does
#: (``WALLET_INCREMENTAL_RELAY_FEE``).
WALLET_INCREMENT = 5000
#: The largest ECDSA signature with its hash type.
_MAX_SIGNATURE = 72


@dataclass(frozen=True)
class Bumped:
    """The replacement, not yet the wallet's; fees in satoshis."""

    created: Created
    old_fee: int
    original: WalletTx

    @property
    def new_fee(self) -> int:
        return self.created.fee


async def bump_transaction(
    wallet: Wallet,
    txid: bytes,
    control: CoinControl,
    *,
    require_mine: bool,
    outputs: Sequence[TxOut] = (),
    change_index: int | None = None,
) -> Bumped:
    """A replacement that spends all inputs of the original and pays the same, or ``outputs`` instead. Unsigned.

    ``change_index`` says which output of the original was change; else it is found. ``require_mine``: all
    inputs must be ours.

    Raises:
        BumpError: with Core's code and words.
    """
    if outputs and change_index is not None:
        raise BumpError(
            RpcCode.INVALID_PARAMETER,
            "The options 'outputs' and 'original_change_index' are incompatible. You can only either specify "
            "a new set of outputs, or designate a change output to be recycled.",
        )
    original = wallet.transaction(txid)
    if original is None:
        raise BumpError(RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid or non-wallet transaction id")
    if change_index is not None and change_index >= len(original.tx.vout):
        raise BumpError(RpcCode.INVALID_PARAMETER, "Change position is out of range")
    control = control.copy()
    spent = await _select_inputs(wallet, original, control)
    await check_bumpable(wallet, original, require_mine=require_mine)
    old_fee = sum(output.value for output in spent) - sum(output.value for output in original.tx.vout)
    paid = list(outputs) or original.tx.vout
    recipients = _recipients(wallet, control, paid, change_index)
    policy = await wallet.chain.fee_policy()
    if control.rate is not None:
        await _check_rate(wallet, original, control, paid, spent, old_fee, policy)
    else:
        control.rate = await _estimate(wallet, original, control, old_fee, policy)
    control.allow_other_inputs = True
    control.min_depth = 1
    try:
        created = await create_transaction(wallet, recipients, control, signed=False)
    except SpendError as error:
        raise BumpError(RpcCode.WALLET_ERROR, f"Unable to create transaction. {error}") from error
    return Bumped(created, old_fee, original)


async def check_bumpable(wallet: Wallet, original: WalletTx, *, require_mine: bool) -> None:
    """The original is unconfirmed, not yet bumped, and nothing spends from it (``PreconditionChecks``).

    Raises:
        BumpError: with Core's code and words.
    """
    if wallet.history.has_wallet_spend(original):
        raise BumpError(RpcCode.INVALID_PARAMETER, "Transaction has descendants in the wallet")
    package = (await wallet.chain.packages([original.txid.hex()]))[0]
    if package is not None and package.descendants > 1:
        raise BumpError(RpcCode.INVALID_PARAMETER, "Transaction has descendants in the mempool")
    if wallet.depth(original) != 0:
        raise BumpError(RpcCode.WALLET_ERROR, "Transaction has been mined, or is conflicted with a mined transaction")
    if original.replaced_by is not None:
        raise BumpError(
            RpcCode.WALLET_ERROR,
            f"Cannot bump transaction {original.txid.hex()} which was already bumped by transaction "
            f"{original.replaced_by.hex()}",
        )
    if require_mine and not all(wallet.coin(outpoint) for outpoint in original.spends):
        raise BumpError(RpcCode.WALLET_ERROR, "Transaction contains inputs that don't belong to this wallet")


async def _select_inputs(wallet: Wallet, original: WalletTx, control: CoinControl) -> list[TxOut]:
    """Make every input of the original an input of the replacement; the outputs that they spend."""
    outpoints = original.spends
    coins = await wallet.chain.coins([(outpoint.txid.hex(), outpoint.n) for outpoint in outpoints])
    spent: list[TxOut] = []
    for outpoint, coin in zip(outpoints, coins, strict=True):
        if coin is None:
            raise BumpError(RpcCode.MISC_ERROR, f"{outpoint} is already spent")
        script = bytes.fromhex(coin.script)
        spent.append(TxOut(coin.amount, script, check_validity=False))
        if wallet.coin(outpoint) is None:
            control.select(outpoint, amount=coin.amount, script=script)
        else:
            control.select(outpoint)
    for index, outpoint in enumerate(outpoints):
        if control.presets[outpoint].is_external:
            control.set_weight(outpoint, _largest_weight(original.tx, index, spent))
    return spent


def _largest_weight(tx: Tx, index: int, spent: list[TxOut]) -> int:
    """The weight of an input of somebody else's, were each of its ECDSA signatures of the largest size."""
    tx_in = tx.vin[index]
    weight = tx_in_weight(tx_in)
    witness = list(tx_in.script_witness.stack)
    _, signatures = verify_spend(tx, index, spent, tx_in.script_sig, witness)
    for _, signature in signatures:
        scale = 1 if signature in witness else SCALE
        weight += (_MAX_SIGNATURE - len(signature)) * scale
    return weight


def tx_in_weight(tx_in: TxIn) -> int:
    """An input's weight with its witness (``GetTransactionInputWeight``)."""
    stack = tx_in.script_witness.stack
    witness = compact_size(len(stack)) + sum(compact_size(len(item)) + len(item) for item in stack)
    return (32 + 4 + 4 + compact_size(len(tx_in.script_sig)) + len(tx_in.script_sig)) * SCALE + witness


def _recipients(
    wallet: Wallet, control: CoinControl, paid: Sequence[TxOut], change_index: int | None
) -> list[Recipient]:
    """The payments, with the change address kept. Where all was change, it is a payment that bears the fee."""
    recipients = []
    for index, output in enumerate(paid):
        script = output.script_pub_key.script
        is_change = wallet.is_change(script) if change_index is None else index == change_index
        if is_change:
            control.change_script = script
        else:
            recipients.append(Recipient(script, output.value))
    if not recipients:
        if control.change_script is None:
            raise BumpError(
                RpcCode.INVALID_PARAMETER,
                "Unable to create transaction. Transaction must have at least one recipient",
            )
        total = sum(output.value for output in paid)
        recipients.append(Recipient(control.change_script, total, subtract_fee=True))
        control.change_script = None
    return recipients


async def _check_rate(
    wallet: Wallet,
    original: WalletTx,
    control: CoinControl,
    paid: Sequence[TxOut],
    spent: Sequence[TxOut],
    old_fee: int,
    policy: FeePolicy,
) -> None:
    """Whether the rate that a person gave suffices for a replacement (``CheckFeeRate``)."""
    rate = control.rate or 0
    if rate < policy.mempool_min:
        raise BumpError(
            RpcCode.WALLET_ERROR,
            f"New fee rate ({money(rate)}) is lower than the minimum fee rate ({money(policy.mempool_min)}) "
            "to get into the mempool -- ",
        )
    inputs = Inputs(wallet, control)
    sizes = [
        inputs.size(outpoint, output.script_pub_key.script)
        for outpoint, output in zip(original.spends, spent, strict=True)
    ]
    size = transaction_size(sizes, [output.script_pub_key.script for output in paid])
    vsize = size.vsize if size else -1
    outpoints = [(outpoint.txid.hex(), outpoint.n) for outpoint in original.spends]
    new_fee = fee_for(rate, vsize) + await wallet.chain.combined_bump_fee(outpoints, rate)
    increment = fee_for(policy.incremental_relay, vsize)
    if new_fee < old_fee + increment:
        raise BumpError(
            RpcCode.INVALID_PARAMETER,
            f"Insufficient total fee {money(new_fee)}, must be at least {money(old_fee + increment)} "
            f"(oldFee {money(old_fee)} + incrementalFee {money(increment)})",
        )
    required = fee_for(required_rate(policy, wallet.options), vsize)
    if new_fee < required:
        raise BumpError(
            RpcCode.INVALID_PARAMETER, f"Insufficient total fee (cannot be less than required fee {money(required)})"
        )
    most = wallet.options.max_tx_fee
    if new_fee > most:
        raise BumpError(
            RpcCode.WALLET_ERROR,
            f"Specified or calculated fee {money(new_fee)} is too high (cannot be higher than -maxtxfee {money(most)})",
        )


async def _estimate(wallet: Wallet, original: WalletTx, control: CoinControl, old_fee: int, policy: FeePolicy) -> int:
    """The original's rate and what a replacement must add, or the current estimate if that is more."""
    rate = rate_of(old_fee, original.tx.vsize) + 1 + max(policy.incremental_relay, WALLET_INCREMENT)
    return max(rate, (await minimum_rate(wallet.chain, policy, wallet.options, control)).rate)
