"""Adding coins and change to a transaction that somebody else began (``FundTransaction``, ``src/wallet/spend.cpp``)."""

from collections.abc import Sequence

from btclib.tx import Tx

from bitcoind_mp.interfaces.chain import CoinValue
from bitcoind_mp.wallet.coins import OutPoint
from bitcoind_mp.wallet.wallet import Wallet

from .attempt import Created
from .control import CoinControl, Recipient
from .create import create_transaction
from .errors import SpendError


async def fund_transaction(
    wallet: Wallet,
    tx: Tx,
    recipients: Sequence[Recipient],
    control: CoinControl,
    *,
    change_position: int | None = None,
    lock_coins: bool = False,
) -> Created:
    """A transaction with the inputs of ``tx``, paying ``recipients``; the coins that it lacks are added. Unsigned.

    The lock time, version and inputs are those of ``tx``; its outputs are not looked at. ``lock_coins``: keep the
    inputs out of other payments until they are unlocked.

    Raises:
        SpendError: with Core's words.
    """
    control = control.copy()
    control.locktime, control.version = tx.lock_time, tx.version
    outpoints = [OutPoint(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin]
    external = await external_coins(wallet, outpoints)
    for outpoint, tx_in in zip(outpoints, tx.vin, strict=True):
        known: dict[str, object] = {}
        if outpoint in external:
            coin = external[outpoint]
            if coin is None:
                raise SpendError("Unable to find UTXO for external input")
            known = {"amount": coin.amount, "script": bytes.fromhex(coin.script)}
        control.select(
            outpoint,
            sequence=tx_in.sequence,
            script_sig=tx_in.script_sig,
            witness=tuple(tx_in.script_witness.stack),
            **known,
        )
    created = await create_transaction(wallet, recipients, control, change_position=change_position, signed=False)
    if lock_coins:
        wallet.lock_coins(OutPoint(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in created.tx.vin)
    return created


async def external_coins(wallet: Wallet, outpoints: Sequence[OutPoint]) -> dict[OutPoint, CoinValue | None]:
    """Those outpoints that aren't the wallet's, with what the node knows of them."""
    strangers = [outpoint for outpoint in outpoints if wallet.coin(outpoint) is None]
    if not strangers:
        return {}
    found = await wallet.chain.coins([(outpoint.txid.hex(), outpoint.n) for outpoint in strangers])
    return dict(zip(strangers, found, strict=True))
