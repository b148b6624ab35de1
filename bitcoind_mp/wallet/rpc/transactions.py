"""Commands about the wallet's transactions (``src/wallet/rpc/transactions.cpp``)."""

from typing import Any

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import Call, Hash, Int32, command, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.transaction import transaction_json
from bitcoind_mp.wallet.transactions import WalletTx
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .rendering import Renderer, label_from, last_processed_block

_UNKNOWN = "Invalid or non-wallet transaction id"


class TransactionCommands:
    """The wallet's history."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet")
    async def gettransaction(
        self, call: Call, txid: Hash, include_watchonly: bool = False, verbose: bool = False
    ) -> dict[str, Any]:
        """Gets detailed information about a transaction of the wallet's.

        Args:
            txid: The transaction id
            include_watchonly: (DEPRECATED) No longer used
            verbose: Whether to include a `decoded` field, the transaction as decoderawtransaction gives it

        Returns:
            amount, fee where we paid it, what is known of the transaction, the details of each output that concerns
            us, its hex, and the block up to which the answer goes
        """
        wallet = await self._wallets.current(call)
        tx = self._known(wallet, txid)
        renderer = await Renderer.of(wallet, [tx])
        credit = 0 if wallet.view().is_immature(tx) else wallet.credit(tx)
        debit = wallet.debit(tx)
        from_me = wallet.history.is_from_me(tx)
        fee = sum(out.value for out in tx.tx.vout) - debit if from_me else 0
        entry: dict[str, Any] = {"amount": btc(credit - debit - fee)}
        if from_me:
            entry["fee"] = btc(fee)
        entry |= renderer.facts(tx)
        entry["details"] = list(renderer.entries(tx, long=False))
        entry["hex"] = tx.raw.hex()
        if verbose:
            entry["decoded"] = transaction_json(
                tx.tx, wallet.options.chain, is_change=lambda out: wallet.is_change(out.script_pub_key.script)
            )
        entry["lastprocessedblock"] = last_processed_block(wallet)
        return entry

    @staticmethod
    def _known(wallet: Wallet, txid: bytes) -> WalletTx:
        tx = wallet.transaction(txid)
        if tx is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, _UNKNOWN)
        return tx

    @command("wallet")
    async def listtransactions(
        self, call: Call, label: str | None = None, count: Int32 = 10, skip: Int32 = 0, include_watchonly: bool = False
    ) -> list[dict[str, Any]]:
        """Lists the most recent transactions, oldest first: one entry for each output sent or received.

        Args:
            label: Only incoming transactions paying to addresses with that label; "*" for all transactions
            count: The number of entries to return
            skip: The number of entries to skip
            include_watchonly: (DEPRECATED) No longer used

        Returns:
            The entries
        """
        wallet = await self._wallets.current(call)
        chosen = None if label in (None, "*") else label_from(label)
        if chosen == "":
            raise RpcError(RpcCode.INVALID_PARAMETER, 'Label argument must be a valid label name or "*".')
        if count < 0:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Negative count")
        if skip < 0:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Negative from")
        newest_first = list(wallet.history)[::-1]
        renderer = await Renderer.of(wallet, newest_first[: count + skip])
        found: list[dict[str, Any]] = []
        for tx in newest_first:
            found += renderer.entries(tx, label=chosen)
            if len(found) >= count + skip:
                break
        return found[skip : skip + count][::-1]

    @command("wallet")
    async def listsinceblock(
        self,
        call: Call,
        blockhash: str | None = None,
        target_confirmations: Int32 = 1,
        include_watchonly: bool = False,
        include_removed: bool = True,
        include_change: bool = False,
        label: str | None = None,
    ) -> dict[str, Any]:
        """Lists all transactions in blocks since a block, or all transactions if it is omitted.

        If the block is no longer in the best chain, transactions from the fork on are included, and those that the
        reorganisation removed are in "removed".

        Args:
            blockhash: The block hash to list transactions since (default: all transactions)
            target_confirmations: Affects lastblock alone: that many confirmations deep (1: the newest block)
            include_watchonly: (DEPRECATED) No longer used
            include_removed: Show transactions that were removed due to a reorganisation
            include_change: Also add entries for change outputs
            label: Only incoming transactions paying to addresses with that label

        Returns:
            transactions, removed, and lastblock to ask again with
        """
        wallet = await self._wallets.current(call)
        fork: int | None = None
        gone: list[WalletTx] = []
        if blockhash:
            fork, gone = await self._fork(wallet, parse_hash(blockhash, "blockhash"))
        if target_confirmations < 1:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter")
        chosen = None if label is None else label_from(label)
        depth = None if fork is None else wallet.height + 1 - fork
        txs = [tx for tx in wallet.history if depth is None or abs(wallet.depth(tx)) < depth]
        renderer = await Renderer.of(wallet, [*txs, *gone])
        result: dict[str, Any] = {
            "transactions": [
                entry for tx in txs for entry in renderer.entries(tx, label=chosen, include_change=include_change)
            ]
        }
        if include_removed:
            result["removed"] = [
                entry
                for tx in gone
                for entry in renderer.entries(tx, min_depth=-100_000_000, label=chosen, include_change=include_change)
            ]
        result["lastblock"] = await self._ancestor(wallet, min(target_confirmations, wallet.height + 1) - 1)
        return result

    @staticmethod
    async def _fork(wallet: Wallet, block: bytes) -> tuple[int, list[WalletTx]]:
        """The height of that block, or of the last of its ancestors that is in the best chain; and what the others
        confirmed, newest block first."""
        known = wallet.progress.height_of(block)
        if known is not None:
            return known, []
        left = wallet.progress.left(block)
        if left is not None:
            fork, txids = left
            return fork, [tx for txid in txids if (tx := wallet.history.get(txid)) is not None]
        removed: list[WalletTx] = []
        name = block.hex()
        while (found := await wallet.chain.find_block(name)) is None:
            stale = await wallet.chain.block(name)  # of a chain that we never followed
            if stale is None:
                raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block not found")
            removed += wallet.intake.known_in(bytes.fromhex(stale.raw))
            name = stale.previous
        return found.height, removed

    @staticmethod
    async def _ancestor(wallet: Wallet, above: int) -> str:
        """The hash of the block so many below our newest."""
        height = wallet.height - above
        recorded = wallet.progress.hash_at(height)
        if recorded is not None:
            return recorded.hex()
        found = await wallet.chain.block_at(height)
        if found is None:
            raise RpcError(RpcCode.INTERNAL_ERROR, "The node has no such block")
        return found.hash

    @command("wallet", changes=True)
    async def abandontransaction(self, call: Call, txid: Hash) -> None:
        """Marks a transaction and all that spends from it as abandoned, so that their inputs may be spent anew.

        Works on transactions which are not included in a block and are not currently in the mempool.

        Args:
            txid: The transaction id
        """
        wallet = await self._wallets.current(call)
        tx = self._known(wallet, txid)
        if wallet.depth(tx) != 0 or tx.in_mempool:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Transaction not eligible for abandonment")
        wallet.abandon(tx)

    @command("wallet", changes=True, waits=True)
    async def rescanblockchain(
        self, call: Call, start_height: Int32 = 0, stop_height: Int32 | None = None
    ) -> dict[str, Any]:
        """Scans blocks again for transactions of the wallet's. "getwalletinfo" tells how it is getting on.

        Args:
            start_height: The block height where the scan should start
            stop_height: The last block height to scan (default: the newest block)

        Returns:
            start_height and stop_height of what was scanned
        """
        wallet = await self._wallets.current(call)
        rescanner = self._wallets.attachment(wallet).rescanner
        rescanner.reserve()
        try:
            wallet.require_unlocked()
            if not 0 <= start_height <= wallet.height:
                raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid start_height")
            if stop_height is not None:
                if not 0 <= stop_height <= wallet.height:
                    raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid stop_height")
                if stop_height < start_height:
                    raise RpcError(RpcCode.INVALID_PARAMETER, "stop_height must be greater than start_height")
            scanned = await rescanner.scan(start_height, stop_height)
        finally:
            rescanner.release()
        if scanned.aborted:
            raise RpcError(RpcCode.MISC_ERROR, "Rescan aborted.")
        return {"start_height": start_height, "stop_height": scanned.stop if scanned.stop >= scanned.start else None}

    @command("wallet", changes=True)
    def abortrescan(self, call: Call) -> bool:
        """Stops the scan of older blocks that a command has begun.

        Returns:
            Whether there was one to stop
        """
        return self._wallets.attachment(self._wallets.chosen(call)).rescanner.abort()
