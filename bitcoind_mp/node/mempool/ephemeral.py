"""Ephemeral dust: one output too small to relay is let through where the transaction pays nothing and its child spends
it (Core's ``src/policy/ephemeral_policy.cpp``)."""

from collections.abc import Mapping

from btclib.tx import Tx

from .policy import MempoolPolicy
from .rejected import Kind, Rejected
from .standard import dust


def check_fee(tx: Tx, fee: int, modified_fee: int, policy: MempoolPolicy) -> None:
    """Raise `Rejected` for a transaction with dust that somebody could gain by mining alone."""
    if (fee or modified_fee) and dust(tx, policy):
        raise Rejected("dust", "tx with dust output must be 0-fee", Kind.NOT_STANDARD)


def check_spends(tx: Tx, name: str, parents: Mapping[bytes, Tx], policy: MempoolPolicy) -> None:
    """Raise `Rejected` where an unconfirmed parent's dust is left unspent. ``parents`` are they, by txid; ``name`` is
    the transaction's, for the message."""
    spends = {(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin}
    for txid, parent in parents.items():
        if any((txid, index) not in spends for index in dust(parent, policy)):
            details = f"tx {name} did not spend parent's ephemeral dust"
            raise Rejected("missing-ephemeral-spends", details, Kind.MEMPOOL_POLICY)
