"""Putting a transaction into the mempool and on its way, with Core's refusals.

Source: Core's ``src/node/transaction.cpp`` (``BroadcastTransaction``) and ``src/rpc/mempool.cpp``.
"""

from collections.abc import Callable
from typing import Any

from btclib.tx.tx import Tx

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from .chain.state import ChainState, CoinsUnavailable
from .mempool.entry import Accepted, MempoolEntry, TxResult
from .mempool.pool import Mempool
from .mempool.rejected import Kind, Rejected

_TRANSACTION_ERROR = RpcCode.VERIFY_ERROR
_TOO_HIGH = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"


class Broadcaster:
    """What a caller's own transactions go through; peers hear of them as of any that enters the mempool.

    Args:
        announce: tells the peers of one that is there already.
    """

    def __init__(self, chain: ChainState, mempool: Mempool, announce: Callable[[MempoolEntry], None]) -> None:
        self._chain = chain
        self._mempool = mempool
        self._announce = announce

    async def broadcast(self, tx: Tx, max_fee_rate: int | None) -> bytes:
        """The txid, in the order it is printed. ``max_fee_rate`` in sat/kvB, None for no limit.

        Raises:
            RpcError: with Core's code and words.
        """
        txid = tx.id
        try:
            if any(self._chain.coins.get((txid, index)) is not None for index in range(len(tx.vout))):
                raise RpcError(RpcCode.VERIFY_ALREADY_IN_UTXO_SET, "Transaction outputs already in utxo set")
            if not await self._accepted(tx, max_fee_rate) and (entry := self._mempool.entry(txid)) is not None:
                self._mempool.add_unbroadcast(txid)
                self._announce(entry)
        except CoinsUnavailable as error:
            raise RpcError(RpcCode.CLIENT_IN_INITIAL_DOWNLOAD, f"{error}") from error
        except Rejected as rejected:
            raise self._refused(rejected) from rejected
        except OSError as error:
            text = f"The transaction could not be written down: {error.strerror}. See to the disk and try again."
            raise RpcError(RpcCode.DATABASE_ERROR, text) from error
        return txid

    async def _accepted(self, tx: Tx, max_fee_rate: int | None) -> bool:
        """Put it into the mempool; False where it is there already, be it that a peer's came while ours was looked at.
        Raises as `Mempool.accept`."""
        if tx.id in self._mempool:
            return False
        try:
            await self._mempool.accept(tx, max_fee_rate=max_fee_rate, unbroadcast=True)
        except Rejected:
            if tx.id not in self._mempool:
                raise
            return False
        return True

    @staticmethod
    def _refused(rejected: Rejected) -> RpcError:
        if rejected.reason == "max-fee-exceeded":
            return RpcError(_TRANSACTION_ERROR, _TOO_HIGH)
        if rejected.kind is Kind.MISSING_INPUTS:
            return RpcError(_TRANSACTION_ERROR, str(rejected))
        return RpcError(RpcCode.VERIFY_REJECTED, str(rejected))

    async def test_accept(self, txs: list[Tx], max_fee_rate: int | None) -> list[dict[str, Any]]:
        """``testmempoolaccept``'s answer: one object for each transaction, in order."""
        try:
            tested = await self._mempool.test(txs, max_fee_rate=max_fee_rate)
        except CoinsUnavailable as error:
            raise RpcError(RpcCode.CLIENT_IN_INITIAL_DOWNLOAD, f"{error}") from error
        package_error = {"package-error": tested.package_message} if tested.package_policy else {}
        return [_answer(result, package_error) for result in tested.results]


def _answer(result: TxResult, package_error: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"txid": result.txid.hex(), "wtxid": result.wtxid.hex(), **package_error}
    if result.accepted is not None:
        answer |= {"allowed": True, "vsize": result.accepted.vsize, "fees": fees_json(result.accepted)}
    elif result.rejected is not None:
        answer |= {"allowed": False, "reject-reason": result.rejected.reason}
        if result.rejected.kind is Kind.MISSING_INPUTS:
            answer["reject-reason"] = "missing-inputs"
        elif result.rejected.reason != "max-fee-exceeded":
            answer["reject-details"] = str(result.rejected)
    return answer


def fees_json(accepted: Accepted) -> dict[str, Any]:
    """The ``fees`` of an acceptable transaction."""
    return {
        "base": btc(accepted.fee),
        "effective-feerate": btc(accepted.effective_fee_rate),
        "effective-includes": [wtxid.hex() for wtxid in accepted.effective_includes],
    }
