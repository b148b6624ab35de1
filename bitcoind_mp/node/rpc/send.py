"""Commands that put transactions into the mempool and relay them (``src/rpc/mempool.cpp``)."""

from collections.abc import Sequence
from typing import Any

from btclib.script.spendability import is_unspendable
from btclib.tx.tx import Tx

from bitcoind_mp.interfaces.amounts import COIN, btc
from bitcoind_mp.interfaces.command import command, commit_point, parse_amount
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.broadcast import Broadcaster, fees_json
from bitcoind_mp.node.mempool.entry import TxResult
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.render.json_values import expect
from bitcoind_mp.render.transaction import decode_transaction, has_valid_ops

#: ``DEFAULT_MAX_RAW_TX_FEE_RATE``, BTC/kvB
_DEFAULT_MAX_RATE = "0.10"
_MAX_PACKAGE_COUNT = 25
_MAX_BURN_EXCEEDED = "Unspendable output exceeds maximum configured by user (maxburnamount)"


class SendCommands:
    """``sender`` puts single transactions into the mempool, packages go there directly."""

    def __init__(self, sender: Broadcaster, mempool: Mempool) -> None:
        self._sender = sender
        self._mempool = mempool

    @command("rawtransactions", changes=True)
    async def sendrawtransaction(
        self, hexstring: str, maxfeerate: Any = _DEFAULT_MAX_RATE, maxburnamount: Any = None
    ) -> str:
        """Puts a transaction into the mempool and relays it to all peers.

        Args:
            hexstring: The transaction in hex
            maxfeerate (numeric or string): Refuse it if its fee rate is higher, in BTC/kvB; 0 for no limit
            maxburnamount (numeric or string): Refuse it if an output that nobody can spend has more than this, in BTC;
                0 if not given

        Returns:
            The txid
        """
        max_burn = 0 if maxburnamount is None else parse_amount(maxburnamount, "maxburnamount")
        tx = decode_transaction(hexstring)
        if tx is None:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, "TX decode failed. Make sure the tx has at least one input.")
        _check_burn(tx, max_burn)
        rate = parse_fee_rate(maxfeerate)
        commit_point()
        return (await self._sender.broadcast(tx, rate or None)).hex()

    @command("rawtransactions")
    async def testmempoolaccept(self, rawtxs: list[Any], maxfeerate: Any = _DEFAULT_MAX_RATE) -> list[dict[str, Any]]:
        """Says whether transactions would be accepted into the mempool, together if there are several.

        Args:
            rawtxs: The transactions in hex, parents before children, 25 at most
            maxfeerate (numeric or string): Refuse those whose fee rate is higher, in BTC/kvB; 0 for no limit

        Returns:
            For each its ids, whether it is allowed, its size and fees, or the reason against it
        """
        _check_count(rawtxs)
        rate = parse_fee_rate(maxfeerate)
        return await self._sender.test_accept([_package_member(text) for text in rawtxs], rate or None)

    @command("rawtransactions", changes=True)
    async def submitpackage(
        self, package: list[Any], maxfeerate: Any = _DEFAULT_MAX_RATE, maxburnamount: Any = None
    ) -> dict[str, Any]:
        """Puts a child and its parents into the mempool together, so that the child can pay for them.

        Args:
            package: The transactions in hex, the child last, 25 at most
            maxfeerate (numeric or string): Refuse them if a fee rate is higher, in BTC/kvB; 0 for no limit
            maxburnamount (numeric or string): Refuse them if an output that nobody can spend has more than this, in
                BTC; 0 if not given

        Returns:
            What became of the package, of each transaction by its wtxid, and which transactions were replaced
        """
        _check_count(package)
        rate = parse_fee_rate(maxfeerate)
        max_burn = 0 if maxburnamount is None else parse_amount(maxburnamount, "maxburnamount")
        txs = []
        for text in package:
            tx = _package_member(text)
            _check_burn(tx, max_burn)
            txs.append(tx)
        if len(txs) > 1 and not _is_child_with_parents_tree(txs):
            raise RpcError(
                RpcCode.VERIFY_ERROR,
                "package topology disallowed. not child-with-parents or parents depend on each other.",
            )
        commit_point()
        result = await self._mempool.accept_package(txs, max_fee_rate=rate or None)
        for tx in txs:
            self._mempool.add_unbroadcast(tx.id)
        replaced = {txid for one in result.results if one.accepted for txid in one.accepted.replaced}
        return {
            "package_msg": result.package_message or "success",
            "tx-results": {one.wtxid.hex(): _package_result(one) for one in result.results},
            "replaced-transactions": [txid.hex() for txid in sorted(replaced, key=lambda txid: txid[::-1])],
        }


def parse_fee_rate(value: Any) -> int:
    """A fee rate in BTC/kvB to sat/kvB (``ParseFeeRate``)."""
    rate = parse_amount(value, "maxfeerate")
    if rate >= COIN:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Fee rates larger than or equal to 1BTC/kvB are not accepted")
    return rate


def _check_count(txs: list[Any]) -> None:
    if not 1 <= len(txs) <= _MAX_PACKAGE_COUNT:
        raise RpcError(
            RpcCode.INVALID_PARAMETER, f"Array must contain between 1 and {_MAX_PACKAGE_COUNT} transactions."
        )


def _package_member(text: Any) -> Tx:
    tx = decode_transaction(expect(text, "string"))
    if tx is None:
        raise RpcError(
            RpcCode.DESERIALIZATION_ERROR,
            f"TX decode failed: {text} Make sure the tx has at least one input.",
        )
    return tx


def _check_burn(tx: Tx, maximum: int) -> None:
    for tx_out in tx.vout:
        script = tx_out.script_pub_key.script
        if tx_out.value > maximum and (is_unspendable(script) or not has_valid_ops(script)):
            raise RpcError(RpcCode.VERIFY_ERROR, _MAX_BURN_EXCEEDED)


def _is_child_with_parents_tree(txs: Sequence[Tx]) -> bool:
    """Whether the last spends from each of the others, and these not from one another (``IsChildWithParentsTree``)."""
    *parents, child = txs
    ids = {tx.id for tx in parents}
    spent = {tx_in.prev_out.tx_id for tx_in in child.vin}
    return ids <= spent and not any(tx_in.prev_out.tx_id in ids for tx in parents for tx_in in tx.vin)


def _package_result(one: TxResult) -> dict[str, Any]:
    answer: dict[str, Any] = {"txid": one.txid.hex()}
    if one.rejected is not None:
        answer["error"] = str(one.rejected)
    elif one.already is not None and one.already.other_wtxid is not None:
        answer["other-wtxid"] = one.already.other_wtxid.hex()
    elif one.already is not None:
        answer |= {"vsize": one.already.vsize, "fees": {"base": btc(one.already.fee)}}
    elif one.accepted is not None:
        answer |= {"vsize": one.accepted.vsize, "fees": fees_json(one.accepted)}
    else:
        answer["error"] = "package-not-validated"
    return answer
