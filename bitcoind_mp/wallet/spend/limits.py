"""What no transaction of ours exceeds, and whether the mempool would have too many hanging together."""

from btclib.tx import Tx

from bitcoind_mp.interfaces.chain import Chain

from .errors import SpendError

#: Weight that no relayed transaction exceeds, and size in bytes without witness that none goes below.
MAX_STANDARD_TX_WEIGHT = 400_000
MIN_STANDARD_TX_SIZE = 65
#: Versions and weights of topologically restricted transactions (``src/policy/truc_policy.h``).
TRUC_VERSION = 3
TRUC_MAX_WEIGHT = 40_000
TRUC_CHILD_MAX_WEIGHT = 4_000
MAX_FEE_EXCEEDED = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"


async def check_chain_limits(chain: Chain, tx: Tx) -> None:
    """Refuse a transaction that would make a cluster larger than the node admits (``checkChainLimits``).

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
