"""Whether the mempool would have too many transactions hanging together (``checkChainLimits``)."""

from btclib.tx import Tx

from bitcoind_mp.interfaces.chain import Chain

from .errors import SpendError


async def check_chain_limits(chain: Chain, tx: Tx) -> None:
    """Refuse a transaction that would make a cluster larger than the node admits.

    The node is asked only where an input is unconfirmed; its other objections are its own to raise at broadcast.

    Raises:
        SpendError: the cluster would be too large.
    """
    parents = sorted({tx_in.prev_out.tx_id.hex() for tx_in in tx.vin})
    if not any(package is not None for package in await chain.packages(parents)):
        return
    raw = tx.serialize(include_witness=True, check_validity=False).hex()
    answers = await chain.test_accept([raw])
    if any(answer.get("reject-reason") == "too-large-cluster" for answer in answers):
        raise SpendError("too many unconfirmed transactions in cluster")
