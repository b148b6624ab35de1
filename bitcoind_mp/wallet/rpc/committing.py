"""From a made transaction to the wallet's: what all spending commands share. The order is what a kill can't break:
the ledger first, the node after it, the answer last.
"""

from bitcoind_mp.interfaces.command import commit_point
from bitcoind_mp.wallet.spend.attempt import Created
from bitcoind_mp.wallet.spend.control import CoinControl
from bitcoind_mp.wallet.wallet import Wallet


def coin_control(wallet: Wallet) -> CoinControl:
    """The choices of somebody who made none."""
    return CoinControl(avoid_partial_spends=wallet.options.avoid_partial_spends)


async def commit(
    wallet: Wallet, created: Created, *, comment: str = "", comment_to: str = "", replaces: bytes | None = None
) -> bytes:
    """Make the transaction the wallet's and hand it to the node; its txid. It stands, whatever the node says."""
    commit_point()
    return await wallet.commit(
        created.tx.serialize(include_witness=True, check_validity=False),
        comment=comment,
        comment_to=comment_to,
        replaces=replaces,
        change=created.reserved,
    )


def keep_change(wallet: Wallet, created: Created) -> None:
    """The transaction is handed out without being committed: its change addresses count as used all the same."""
    for reservation in created.reserved:
        wallet.addresses.keep(reservation)
