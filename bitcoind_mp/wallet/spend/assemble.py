"""Putting a transaction together from chosen coins, and making its fee exact; neither choosing nor signing."""

import random
from collections.abc import Sequence

from btclib.script.witness import Witness
from btclib.tx import OutPoint as TxOutPoint
from btclib.tx import Tx, TxIn, TxOut

from bitcoind_mp.wallet.coins import OutPoint
from bitcoind_mp.wallet.wallet import Wallet

from .available import Inputs
from .control import CoinControl, Recipient
from .errors import SpendError
from .locktime import SEQUENCE_NONFINAL, SEQUENCE_RBF, discourage_fee_sniping
from .rates import is_dust
from .selection import Selection
from .sizes import TxSize, transaction_size


def place_change(change: int, asked: int | None, recipients: int, rng: random.Random) -> int | None:
    """Where the change output goes: where a person wants it or anywhere, None where there is none."""
    if change <= 0:
        return None
    if asked is None:
        return rng.randrange(recipients + 1)
    if asked > recipients:
        raise SpendError("Transaction change output index out of range")
    return asked


async def build(
    wallet: Wallet,
    control: CoinControl,
    recipients: Sequence[Recipient],
    selection: Selection,
    change: tuple[int | None, int, bytes],
    rng: random.Random,
) -> Tx:
    """The transaction, unsigned. ``change`` is its output's position, amount and script."""
    position, amount, script = change
    outputs = [TxOut(r.amount, r.script, check_validity=False) for r in recipients]
    if position is not None:
        outputs.insert(position, TxOut(amount, script, check_validity=False))
    coins = list(selection.coins)
    rng.shuffle(coins)
    if control.presets and control.is_ordered:
        coins.sort(key=lambda coin: _place(control, coin.outpoint))
    signals = wallet.options.signal_rbf if control.signal_rbf is None else control.signal_rbf
    sequence = SEQUENCE_RBF if signals else SEQUENCE_NONFINAL
    inputs = [_input(control, coin.outpoint, sequence) for coin in coins]
    tx = Tx(control.version, 0, inputs, outputs, check_validity=False)
    if control.locktime is not None:
        tx.lock_time = control.locktime
    elif all(preset.sequence is None for preset in control.presets.values()):
        await discourage_fee_sniping(tx, wallet, rng)
    return tx


def _place(control: CoinControl, outpoint: OutPoint) -> tuple[bool, int]:
    """Chosen inputs in their order, then the others."""
    preset = control.presets.get(outpoint)
    if preset is None or preset.position is None:
        return True, 0
    return False, preset.position


def _input(control: CoinControl, outpoint: OutPoint, sequence: int) -> TxIn:
    preset = control.presets.get(outpoint)
    if preset is not None and preset.sequence is not None:
        sequence = preset.sequence
    return TxIn(
        TxOutPoint(outpoint.txid, outpoint.n, check_validity=False),
        preset.script_sig if preset else b"",
        sequence,
        Witness(preset.witness) if preset else None,
        check_validity=False,
    )


def measure(inputs: Inputs, tx: Tx, selection: Selection) -> TxSize:
    """How large it will be once it is signed."""
    scripts = {coin.outpoint: coin.script for coin in selection.coins}
    outpoints = [OutPoint(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin]
    sizes = [inputs.size(outpoint, scripts[outpoint]) for outpoint in outpoints]
    size = transaction_size(sizes, [output.script_pub_key.script for output in tx.vout])
    if size is None:
        raise SpendError("Missing solving data for estimating transaction size")
    return size


def settle(
    tx: Tx,
    recipients: Sequence[Recipient],
    selection: Selection,
    position: int | None,
    needed: int,
    dust_rate: int,
) -> int:
    """Make the fee exact, and tell it: what was estimated too high goes to the change at ``position``, and recipients
    bear what they are to. ``needed`` is what the size asks for, in satoshis."""
    fee = selection.value - sum(output.value for output in tx.vout)
    if fee < 0:
        raise SpendError("Internal bug detected: Fee paid < 0")
    if position is not None and needed < fee:
        tx.vout[position] = _worth(tx.vout[position], tx.vout[position].value + fee - needed)
        fee = needed
    if any(recipient.subtract_fee for recipient in recipients):
        _subtract(tx, recipients, position, needed - fee, dust_rate)
        fee = needed
    if needed > fee:
        raise SpendError("Internal bug detected: Fee needed > fee paid")
    return fee


def _subtract(tx: Tx, recipients: Sequence[Recipient], position: int | None, amount: int, dust_rate: int) -> None:
    """Take ``amount`` from the recipients that bear the fee: the first also pays what can't be divided."""
    payees = [number for number, recipient in enumerate(recipients) if recipient.subtract_fee]
    # Toward zero, as in C++: the amount is negative where the fee was overestimated and something is given back.
    share, rest = divmod(abs(amount), len(payees))
    sign = -1 if amount < 0 else 1
    for number in payees:
        place = number + (1 if position is not None and number >= position else 0)
        output = tx.vout[place]
        value = output.value - sign * (share + (rest if number == payees[0] else 0))
        if is_dust(value, output.script_pub_key.script, dust_rate):
            if value < 0:
                raise SpendError("The transaction amount is too small to pay the fee")
            raise SpendError("The transaction amount is too small to send after the fee has been deducted")
        tx.vout[place] = _worth(output, value)


def _worth(output: TxOut, value: int) -> TxOut:
    """The output with another amount."""
    return TxOut(value, output.script_pub_key, check_validity=False)
