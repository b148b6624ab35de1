"""A wallet's transactions and addresses as the JSON that Bitcoin Core prints (``src/wallet/rpc/transactions.cpp``,
``src/wallet/rpc/util.cpp``). What doesn't belong: which of them a command lists."""

from collections.abc import Collection, Iterator
from typing import Any

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.wallet.coins import OutPoint
from bitcoind_mp.wallet.record.balances import View
from bitcoind_mp.wallet.storage.tables import AddressEntry
from bitcoind_mp.wallet.transactions import Confirmed, WalletTx
from bitcoind_mp.wallet.wallet import Wallet

#: An input's sequence number up to this signals that the transaction may be replaced (BIP125).
_MAX_RBF_SEQUENCE = 0xFFFFFFFD


def last_processed_block(wallet: Wallet) -> dict[str, Any]:
    """``lastprocessedblock``: how far the answer goes."""
    return {"hash": wallet.block.hex(), "height": wallet.height}


def parent_descriptors(wallet: Wallet, script: bytes) -> list[str]:
    """The descriptors that a script comes from (``PushParentDescriptors``)."""
    return [wallet.descriptors.get(owner.descriptor).normalized for owner in wallet.descriptors.owners(script)]


def label_from(value: str | None) -> str:
    """A label as a command's parameter gives it (``LabelFromValue``). Raises `RpcError` (-11)."""
    if value == "*":
        raise RpcError(RpcCode.WALLET_INVALID_LABEL_NAME, "Invalid label name")
    return value or ""


def hex_by_core_order(txids: Collection[bytes]) -> list[str]:
    """Txids in the order of Core's sets."""
    return [txid.hex() for txid in sorted(txids, key=lambda txid: txid[::-1])]


class Renderer:
    """Renders transactions of one wallet as of one moment. ``ancestors`` are the txids among them that have an
    ancestor in the mempool that signals replacement."""

    def __init__(self, wallet: Wallet, replaceable: Collection[bytes] = ()) -> None:
        self._wallet = wallet
        self._view: View = wallet.view()
        self._replaceable = replaceable

    @classmethod
    async def of(cls, wallet: Wallet, txs: Collection[WalletTx]) -> "Renderer":
        """One that knows of these transactions' ancestors what the node knows, where it can be asked."""
        asked = [tx for tx in txs if tx.in_mempool and not _signals(tx)]
        replaceable: list[bytes] = []
        if asked:
            try:
                found = await wallet.chain.packages([tx.txid.hex() for tx in asked])
            except (RpcError, Disconnected, CallTimeout):
                found = [None] * len(asked)
            replaceable = [tx.txid for tx, package in zip(asked, found, strict=True) if package and package.replaceable]
        return cls(wallet, replaceable)

    def facts(self, tx: WalletTx) -> dict[str, Any]:
        """What is known of a transaction as a whole (``WalletTxToJSON``)."""
        depth = self._view.depth(tx)
        entry: dict[str, Any] = {"confirmations": depth}
        if tx.is_coinbase:
            entry["generated"] = True
        if isinstance(tx.state, Confirmed):
            entry["blockhash"] = tx.state.block.hex()
            entry["blockheight"] = tx.state.height
            entry["blockindex"] = tx.state.position
            entry["blocktime"] = tx.state.time
        else:
            entry["trusted"] = self._view.is_trusted(tx)
        entry["txid"] = tx.txid.hex()
        entry["wtxid"] = tx.tx.hash.hex()
        entry["walletconflicts"] = hex_by_core_order(self._wallet.history.conflicts(tx))
        entry["mempoolconflicts"] = hex_by_core_order(tx.mempool_conflicts)
        entry["time"] = tx.time
        entry["timereceived"] = tx.time_received
        entry["bip125-replaceable"] = self._bip125(tx) if depth <= 0 else "no"
        if tx.comment:
            entry["comment"] = tx.comment
        if tx.replaced_by is not None:
            entry["replaced_by_txid"] = tx.replaced_by.hex()
        if tx.replaces is not None:
            entry["replaces_txid"] = tx.replaces.hex()
        if tx.comment_to:
            entry["to"] = tx.comment_to
        return entry

    def _bip125(self, tx: WalletTx) -> str:
        """``IsRBFOptIn``"""
        if _signals(tx) or tx.txid in self._replaceable:
            return "yes"
        return "no" if tx.in_mempool else "unknown"

    def entries(
        self,
        tx: WalletTx,
        *,
        min_depth: int = 0,
        long: bool = True,
        label: str | None = None,
        include_change: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """A transaction's entries in lists: one for each output sent, one for each received (``ListTransactions``).
        ``label`` leaves only what was received with that label."""
        facts = self.facts(tx) if long else {}
        debit = self._wallet.debit(tx)
        if label is None and debit > 0:
            yield from self._sent(tx, debit, facts, include_change)
        if self._view.depth(tx) < min_depth:
            return
        for n, out in enumerate(tx.tx.vout):
            script = out.script_pub_key.script
            if OutPoint(tx.txid, n) not in self._wallet.history.outputs:
                continue
            if debit > 0 and not include_change and self._wallet.is_change(script):
                continue
            found = self._wallet.book.get(script)
            if label is not None and label != self._label(found):
                continue
            entry = self._address(script)
            entry["parent_descs"] = parent_descriptors(self._wallet, script)
            entry["category"] = self._category(tx)
            entry["amount"] = btc(out.value)
            if found is not None:
                entry["label"] = self._label(found)
            yield {**entry, "vout": n, "abandoned": tx.is_abandoned, **facts}

    def _sent(self, tx: WalletTx, debit: int, facts: dict[str, Any], include_change: bool) -> Iterator[dict[str, Any]]:
        fee = debit - sum(out.value for out in tx.tx.vout)
        for n, out in enumerate(tx.tx.vout):
            script = out.script_pub_key.script
            if not include_change and self._wallet.is_change(script):
                continue
            entry = self._address(script)
            entry["category"] = "send"
            entry["amount"] = btc(-out.value)
            found = self._wallet.book.get(script)
            if found is not None:
                entry["label"] = self._label(found)
            yield {**entry, "vout": n, "fee": btc(-fee), **facts, "abandoned": tx.is_abandoned}

    def _category(self, tx: WalletTx) -> str:
        if not tx.is_coinbase:
            return "receive"
        if self._view.depth(tx) < 1:
            return "orphan"
        return "immature" if self._view.is_immature(tx) else "generate"

    def _address(self, script: bytes) -> dict[str, Any]:
        address = encode_address(script, self._wallet.options.chain)
        return {} if address is None else {"address": address}

    @staticmethod
    def _label(entry: AddressEntry | None) -> str:
        return "" if entry is None else entry.label or ""


def _signals(tx: WalletTx) -> bool:
    return any(tx_in.sequence <= _MAX_RBF_SEQUENCE for tx_in in tx.tx.vin)
