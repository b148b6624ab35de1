"""Commands about the wallet's coins and what they sum up to (``src/wallet/rpc/coins.cpp``)."""

from decimal import Decimal
from typing import Any, TypedDict

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.chain import MempoolPackage
from bitcoind_mp.interfaces.command import Call, Int32, command, parse_amount, parse_hash
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.render.address import decode_destination, encode_address
from bitcoind_mp.render.json_values import check_object, expect, integer
from bitcoind_mp.wallet.addressing.addresses import kind_of
from bitcoind_mp.wallet.coins import MAX_DEPTH, NO_LIMIT, Coin, CoinFilter, OutPoint
from bitcoind_mp.wallet.storage.flags import reuse_flag
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .embedded import embedded_script
from .rendering import last_processed_block, parent_descriptors


class QueryOptions(TypedDict, total=False):
    """`listunspent`'s options, by Core's names.

    Args:
        minimumAmount (numeric or string): The least value of each coin, in BTC. Default: 0.
        maximumAmount (numeric or string): The highest value of each coin, in BTC. Default: no limit.
        maximumCount (numeric): How many coins to list at most. Default: no limit.
        minimumSumAmount (numeric or string): List no more coins once their sum is this much, in BTC. Default: no limit.
        include_immature_coinbase (boolean): List coinbase outputs too that can't be spent yet. Default: false.
    """

    minimumAmount: Any
    maximumAmount: Any
    maximumCount: Any
    minimumSumAmount: Any
    include_immature_coinbase: Any


class CoinCommands:
    """What the wallet has."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet")
    async def getbalance(
        self,
        call: Call,
        dummy: str | None = None,
        minconf: Int32 = 0,
        include_watchonly: bool = False,
        avoid_reuse: bool | None = None,
    ) -> Decimal:
        """Returns the total available balance: what the wallet considers currently spendable.

        Args:
            dummy: Remains for backward compatibility. Must be excluded or set to "*".
            minconf: Only include transactions confirmed at least this many times
            include_watchonly: No longer used
            avoid_reuse: Do not include balance in dirty outputs; addresses are considered dirty if they have previously
                been used in a transaction (only available if the avoid_reuse wallet flag is set)

        Returns:
            The total amount in BTC
        """
        wallet = await self._wallets.current(call)
        if dummy not in (None, "*"):
            raise RpcError(RpcCode.METHOD_DEPRECATED, 'dummy first argument must be excluded or set to "*".')
        return btc(wallet.balance(minconf, reuse_flag(wallet.flags, avoid_reuse)).trusted)

    @command("wallet")
    async def getbalances(self, call: Call) -> dict[str, Any]:
        """Returns an object with all balances in BTC.

        Returns:
            mine: trusted, untrusted_pending, immature, nonmempool and, in a wallet that avoids reuse, used; and the
            block up to which the answer goes
        """
        wallet = await self._wallets.current(call)
        found = wallet.view().balance(0, wallet.avoid_reuse, include_nonmempool=True)
        mine = {
            "trusted": btc(found.trusted),
            "untrusted_pending": btc(found.pending),
            "immature": btc(found.immature),
            "nonmempool": btc(found.nonmempool),
        }
        if wallet.avoid_reuse:
            mine["used"] = btc(found.used)
        return {"mine": mine, "lastprocessedblock": last_processed_block(wallet)}

    @command("wallet", options="query_options")
    async def listunspent(
        self,
        call: Call,
        minconf: Int32 = 1,
        maxconf: Int32 = MAX_DEPTH,
        addresses: list[str] | None = None,
        include_unsafe: bool = True,
        query_options: QueryOptions | None = None,
    ) -> list[dict[str, Any]]:
        """Returns the unspent outputs with between minconf and maxconf confirmations.

        Args:
            minconf: The minimum confirmations to filter
            maxconf: The maximum confirmations to filter
            addresses: The bitcoin addresses to filter
            include_unsafe: Include outputs that are not safe to spend: unconfirmed ones from others, and replacements
            query_options: minimumAmount, maximumAmount, maximumCount, minimumSumAmount, include_immature_coinbase

        Returns:
            The outputs
        """
        wallet = self._wallets.chosen(call)
        scripts = _scripts(wallet, addresses or [])
        wanted = _coin_filter(minconf, maxconf, include_unsafe, dict(query_options or {}))
        wallet = await self._wallets.current(call)
        coins = [coin for coin in wallet.coins(wanted) if not scripts or coin.script in scripts]
        around = await _surroundings(wallet, coins)
        return [_coin_json(wallet, coin, around.get(coin.outpoint.txid)) for coin in coins]

    @command("wallet", changes=True)
    async def lockunspent(
        self, call: Call, unlock: bool, transactions: list[dict[str, Any]] | None = None, persistent: bool = False
    ) -> bool:
        """Locks (unlock=false) or unlocks (unlock=true) outputs against being chosen when spending.

        If no outputs are specified when unlocking then all are unlocked. Locks are kept in memory alone, unless
        persistent=true.

        Args:
            unlock: Whether to unlock (true) or lock (false) the specified outputs
            transactions: The outputs: objects of txid and vout
            persistent: Whether to keep this lock over restarts. Ignored for unlocking.

        Returns:
            Whether the command was successful
        """
        wallet = await self._wallets.current(call)
        if transactions is None:
            if unlock:
                wallet.unlock_coins(list(wallet.locks))
            return True
        outpoints = [self._lockable(wallet, one, unlock, persistent) for one in transactions]
        if unlock:
            wallet.unlock_coins(outpoints)
        else:
            wallet.lock_coins(outpoints, persistent)
        return True

    @staticmethod
    def _lockable(wallet: Wallet, one: Any, unlock: bool, persistent: bool) -> OutPoint:
        check_object(expect(one, "object"), {"txid": "string", "vout": "number"})
        outpoint = OutPoint(parse_hash(one["txid"], "txid"), integer(one["vout"]))
        problem = ""
        tx = wallet.transaction(outpoint.txid)
        if outpoint.n < 0:
            problem = "vout cannot be negative"
        elif tx is None:
            problem = "unknown transaction"
        elif outpoint.n >= len(tx.tx.vout):
            problem = "vout index out of bounds"
        elif wallet.is_spent(outpoint):
            problem = "expected unspent output"
        elif unlock and not wallet.is_locked(outpoint):
            problem = "expected locked output"
        elif not unlock and wallet.is_locked(outpoint) and not persistent:
            problem = "output already locked"
        if problem:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid parameter, {problem}")
        return outpoint

    @command("wallet")
    def listlockunspent(self, call: Call) -> list[dict[str, Any]]:
        """Returns the outputs that are locked against being chosen. See lockunspent.

        Returns:
            txid and vout of each
        """
        return [{"txid": one.txid.hex(), "vout": one.n} for one in self._wallets.chosen(call).locks]


def _scripts(wallet: Wallet, addresses: list[str]) -> set[bytes]:
    scripts: set[bytes] = set()
    for address in addresses:
        script = decode_destination(expect(address, "string"), wallet.options.chain).script
        if script is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"Invalid Bitcoin address: {address}")
        if script in scripts:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid parameter, duplicated address: {address}")
        scripts.add(script)
    return scripts


def _coin_filter(min_depth: int, max_depth: int, include_unsafe: bool, options: dict[str, Any]) -> CoinFilter:
    types = {
        "minimumAmount": "any",
        "maximumAmount": "any",
        "minimumSumAmount": "any",
        "maximumCount": "number",
        "include_immature_coinbase": "bool",
    }
    check_object(options, types, allow_null=True, strict=True)

    def amount(name: str, default: int) -> int:
        return parse_amount(options[name], name) if options.get(name) is not None else default

    return CoinFilter(
        min_depth=min_depth,
        max_depth=max_depth,
        min_amount=amount("minimumAmount", 0),
        max_amount=amount("maximumAmount", NO_LIMIT),
        min_sum=amount("minimumSumAmount", NO_LIMIT),
        max_count=integer(options.get("maximumCount") or 0, 64),
        include_unsafe=include_unsafe,
        include_immature=bool(options.get("include_immature_coinbase")),
    )


async def _surroundings(wallet: Wallet, coins: list[Coin]) -> dict[bytes, MempoolPackage]:
    """What surrounds each coin's transaction in the mempool; nothing while the node is away."""
    txids = list(dict.fromkeys(coin.outpoint.txid for coin in coins if coin.depth == 0))
    if not txids:
        return {}
    try:
        found = await wallet.chain.packages([txid.hex() for txid in txids])
    except (RpcError, Disconnected, CallTimeout):
        return {}
    return {txid: package for txid, package in zip(txids, found, strict=True) if package is not None}


def _coin_json(wallet: Wallet, coin: Coin, package: MempoolPackage | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"txid": coin.outpoint.txid.hex(), "vout": coin.outpoint.n}
    address = encode_address(coin.script, wallet.options.chain)
    if address is not None:
        entry["address"] = address
        found = wallet.book.get(coin.script)
        if found is not None:
            entry["label"] = found.label or ""
        entry |= _embedded(wallet, coin)
    entry["scriptPubKey"] = coin.script.hex()
    entry["amount"] = btc(coin.amount)
    entry["confirmations"] = coin.depth
    if package is not None:
        entry["ancestorcount"] = package.ancestors
        entry["ancestorsize"] = package.ancestor_size
        entry["ancestorfees"] = package.ancestor_fees
    entry["spendable"] = True
    entry["solvable"] = coin.solvable
    if coin.solvable:
        entry["desc"] = wallet.descriptors.concrete(coin.owner, coin.script)
    entry["parent_descs"] = parent_descriptors(wallet, coin.script)
    if wallet.avoid_reuse:
        entry["reused"] = coin.reused
    entry["safe"] = coin.safe
    return entry


def _embedded(wallet: Wallet, coin: Coin) -> dict[str, Any]:
    """The scripts that a coin's script is the hash of."""
    if coin.script[:1] == b"\xa9":
        redeem = embedded_script(wallet, coin.owner, coin.script)
        if redeem is None:
            return {}
        found = {"redeemScript": redeem.hex()}
        if kind_of(redeem) == "witness_v0_scripthash":
            witness = embedded_script(wallet, coin.owner, redeem)
            if witness is not None:
                found["witnessScript"] = witness.hex()
        return found
    if kind_of(coin.script) == "witness_v0_scripthash":
        witness = embedded_script(wallet, coin.owner, coin.script)
        if witness is not None:
            return {"witnessScript": witness.hex()}
    return {}
