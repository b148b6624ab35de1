"""Commands about what is in the mempool (``src/rpc/mempool.cpp``). Those that put something in are in ``send.py``."""

import asyncio
from collections.abc import Iterable
from typing import Any, TypedDict

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import command, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.mempool.entry import MempoolEntry
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.render.json_values import check_object, expect, integer

#: Entries described in one turn of the loop: some 20 ms.
_AT_ONCE = 500


class SpendingOptions(TypedDict, total=False):
    """Options of `gettxspendingprevout`.

    Args:
        mempool_only: Look among unconfirmed transactions alone, which is all that this node can do. Default: true.
        return_spending_tx: Tell the whole spending transaction, in hex. Default: false.
    """

    mempool_only: bool
    return_spending_tx: bool


class MempoolCommands:
    """They answer at once, but for what writes, and the listing of a full mempool."""

    def __init__(self, mempool: Mempool) -> None:
        self._mempool = mempool

    @command("blockchain")
    def getmempoolinfo(self) -> dict[str, Any]:
        """Tells how full the mempool is, and what it takes to get in.

        Returns:
            How many transactions there are, their size, memory and fees, the limits, and the fee rates in BTC/kvB
        """
        mempool, policy = self._mempool, self._mempool.policy
        return {
            "loaded": mempool.loaded,
            "size": len(mempool),
            "bytes": mempool.total_vsize,
            "usage": mempool.usage,
            "total_fee": btc(mempool.total_fee),
            "maxmempool": policy.max_size,
            "mempoolminfee": btc(mempool.min_fee_rate()),
            "minrelaytxfee": btc(policy.min_relay_fee),
            "incrementalrelayfee": btc(policy.incremental_relay_fee),
            "unbroadcastcount": len(mempool.unbroadcast),
            "permitbaremultisig": policy.permit_bare_multisig,
            "maxdatacarriersize": policy.max_datacarrier or 0,
            "limitclustercount": policy.cluster_count,
            "limitclustersize": policy.cluster_size,
            "optimal": mempool.optimal,
        }

    @command("blockchain")
    async def getrawmempool(self, verbose: bool = False, mempool_sequence: bool = False) -> Any:
        """Lists the transactions of the mempool, in the order in which they would be mined.

        Of a large mempool the objects aren't all of one moment: what leaves it meanwhile is left out.

        Args:
            verbose: true for objects, false for txids
            mempool_sequence: Give the txids with the mempool's sequence number

        Returns:
            The txids, or an object by txid, or the txids with the sequence number
        """
        if verbose and mempool_sequence:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Verbose results cannot contain mempool sequence values.")
        if verbose:
            return await self._all()
        txids = self._listed(self._mempool.entries(), verbose=False)
        return {"txids": txids, "mempool_sequence": self._mempool.sequence} if mempool_sequence else txids

    async def _all(self) -> dict[str, Any]:
        """Every entry; others get a turn now and then, since a full mempool takes seconds."""
        listed: dict[str, Any] = {}
        for number, entry in enumerate(list(self._mempool.entries()), 1):
            if self._mempool.entry(entry.txid) is entry:
                listed[entry.txid.hex()] = self._entry_json(entry)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return listed

    @command("blockchain")
    def getmempoolentry(self, txid: str) -> dict[str, Any]:
        """Returns what the mempool knows of a transaction.

        Args:
            txid: The transaction id, which must be in the mempool

        Returns:
            Its sizes, time, height and fees, what it depends on and what depends on it
        """
        return self._entry_json(self._entry(txid))

    @command("blockchain")
    def getmempoolancestors(self, txid: str, verbose: bool = False) -> Any:
        """Lists the mempool's transactions that one depends on, directly or not.

        Args:
            txid: The transaction id, which must be in the mempool
            verbose: true for objects, false for txids

        Returns:
            The txids, or an object by txid
        """
        return self._listed(self._mempool.ancestors(self._entry(txid)), verbose)

    @command("blockchain")
    def getmempooldescendants(self, txid: str, verbose: bool = False) -> Any:
        """Lists the mempool's transactions that depend on one, directly or not.

        Args:
            txid: The transaction id, which must be in the mempool
            verbose: true for objects, false for txids

        Returns:
            The txids, or an object by txid
        """
        return self._listed(self._mempool.descendants(self._entry(txid)), verbose)

    @command("blockchain")
    def getmempoolcluster(self, txid: str) -> dict[str, Any]:
        """Returns the transactions that one is connected to in the mempool, in the order of mining.

        Args:
            txid: The transaction id, which must be in the mempool

        Returns:
            The weight and number of them, and the chunks that are mined as one
        """
        chunks = self._mempool.cluster(self._entry(txid))
        return {
            "clusterweight": sum(chunk.weight for chunk in chunks),
            "txcount": sum(len(chunk.entries) for chunk in chunks),
            "chunks": [
                {
                    "chunkfee": btc(chunk.fee),
                    "chunkweight": chunk.weight,
                    "txs": [entry.txid.hex() for entry in chunk.entries],
                }
                for chunk in chunks
            ],
        }

    @command("hidden", hidden=True)
    def getmempoolfeeratediagram(self) -> list[dict[str, Any]]:
        """Returns the fee rate diagram of the whole mempool.

        Returns:
            From nothing on, what each chunk in the order of mining adds up to: the sigops-adjusted weight, and the fees
            in BTC
        """
        fee = weight = 0
        points = [{"weight": weight, "fee": btc(fee)}]
        for chunk in self._mempool.chunks():
            fee, weight = fee + chunk.fee, weight + chunk.weight
            points.append({"weight": weight, "fee": btc(fee)})
        return points

    @command("blockchain", options="options")
    def gettxspendingprevout(self, outputs: list[Any], options: SpendingOptions | None = None) -> list[dict[str, Any]]:
        """Finds the mempool's transactions that spend given outputs.

        Args:
            outputs: The outputs: [{"txid": hex, "vout": n}]
            options: mempool_only, and return_spending_tx for the transactions in hex

        Returns:
            The outputs, each with the txid of what spends it if something does
        """
        if not outputs:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, outputs are missing")
        chosen: dict[str, Any] = dict(options or {})
        check_object(chosen, {"mempool_only": "bool", "return_spending_tx": "bool"}, allow_null=True, strict=True)
        answers = []
        unspent = False
        for output in outputs:
            check_object(expect(output, "object"), {"txid": "string", "vout": "number"}, strict=True)
            txid, index = parse_hash(output["txid"], "txid"), integer(output["vout"])
            if index < 0:
                raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, vout cannot be negative")
            answer = dict(output)
            spender = self._mempool.spender((txid, index))
            unspent = unspent or spender is None
            if spender is not None:
                answer["spendingtxid"] = spender.hex()
                entry = self._mempool.entry(spender)
                if chosen.get("return_spending_tx") and entry is not None:
                    answer["spendingtx"] = entry.raw.hex()
            answers.append(answer)
        if unspent and chosen.get("mempool_only") is False:
            raise RpcError(RpcCode.MISC_ERROR, "Mempool lacks a relevant spend, and txospenderindex is unavailable.")
        return answers

    @command("blockchain", changes=True)
    async def savemempool(self) -> dict[str, str]:
        """Writes the mempool to disk.

        Returns:
            The file it was written to
        """
        if not self._mempool.loaded:
            raise RpcError(RpcCode.MISC_ERROR, "The mempool was not loaded yet")
        try:
            path = await self._mempool.save()
        except OSError as error:
            raise RpcError(RpcCode.MISC_ERROR, "Unable to dump mempool to disk") from error
        return {"filename": str(path)}

    def _entry(self, txid: str) -> MempoolEntry:
        entry = self._mempool.entry(parse_hash(txid, "txid"))
        if entry is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Transaction not in mempool")
        return entry

    def _listed(self, entries: Iterable[MempoolEntry], verbose: bool) -> list[str] | dict[str, Any]:
        if verbose:
            return {entry.txid.hex(): self._entry_json(entry) for entry in entries}
        return [entry.txid.hex() for entry in entries]

    def _entry_json(self, entry: MempoolEntry) -> dict[str, Any]:
        """``entryToJSON``"""
        mempool = self._mempool
        up = mempool.totals([entry, *mempool.ancestors(entry)])
        down = mempool.totals([entry, *mempool.descendants(entry)])
        chunk = mempool.chunk(entry)
        return {
            "vsize": entry.vsize,
            "weight": entry.weight,
            "time": entry.time,
            "height": entry.height,
            "descendantcount": down.count,
            "descendantsize": down.vsize,
            "ancestorcount": up.count,
            "ancestorsize": up.vsize,
            "wtxid": entry.wtxid.hex(),
            "chunkweight": chunk.weight,
            "fees": {
                "base": btc(entry.fee),
                "modified": btc(entry.modified_fee),
                "ancestor": btc(up.fees),
                "descendant": btc(down.fees),
                "chunk": btc(chunk.fee),
            },
            "depends": sorted(parent.txid.hex() for parent in mempool.parents(entry)),
            "spentby": [child.txid.hex() for child in mempool.children(entry)],
            "unbroadcast": entry.txid in mempool.unbroadcast,
        }
