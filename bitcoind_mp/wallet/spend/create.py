"""Making a transaction: whom it pays, from which coins, with what change and fee (``CreateTransaction``,
``src/wallet/spend.cpp``).

The wallet's `spending` lock is held by the caller from here to the commit. What doesn't belong: the ledger, JSON.
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import replace

from bitcoind_mp.wallet.coins import OutPoint
from bitcoind_mp.wallet.wallet import Wallet

from .attempt import Attempt, Created, Request
from .control import CoinControl, Recipient
from .errors import SpendError
from .signer import sign

log = logging.getLogger("bitcoind_mp.selectcoins")


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
    if not recipients:
        raise SpendError("Transaction must have at least one recipient")
    if any(recipient.amount < 0 for recipient in recipients):
        raise SpendError("Transaction amounts must not be negative")
    request = Request(wallet, recipients, control, change_position, signed, rng or random.SystemRandom())
    while True:
        created = await _with_and_without_grouping(request)
        try:
            if not _taken(request, created):
                # Another process signs what was decided on, and nothing else: each signature counts there.
                if signed and wallet.keys.elsewhere and not await sign(wallet, created.tx):
                    raise SpendError("Signing transaction failed")
                if not _taken(request, created):
                    return created
        except BaseException:
            _release(request, created)
            raise
        _release(request, created)


def _taken(request: Request, created: Created) -> bool:
    """Whether a block or another's payment with the same keys took a coin meanwhile."""
    outpoints = (OutPoint(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in created.tx.vin)
    return any(outpoint not in request.control.presets and request.wallet.is_spent(outpoint) for outpoint in outpoints)


def _release(request: Request, created: Created) -> None:
    for reservation in reversed(created.reserved):
        request.wallet.addresses.release(reservation)


async def _with_and_without_grouping(request: Request) -> Created:
    options, control = request.wallet.options, request.control
    first = await Attempt(request).run()
    if first.fee <= 0 or options.max_aps_fee < 0 or control.avoid_partial_spends:
        return first
    grouping = control.copy()
    grouping.avoid_partial_spends = True
    if first.change is not None:
        grouping.change_script = first.tx.vout[first.change].script_pub_key.script
    try:
        grouped = await Attempt(replace(request, control=grouping)).run()
    except SpendError:
        return first
    use_grouped = grouped.fee <= first.fee + options.max_aps_fee
    using = "grouped" if use_grouped else "non-grouped"
    name = request.wallet.name
    log.debug("[%s] Fee non-grouped = %d, grouped = %d, using %s", name, first.fee, grouped.fee, using)
    better = grouped if use_grouped else first
    return replace(better, reserved=first.reserved + grouped.reserved)
