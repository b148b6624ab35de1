"""What was received, by address and by label (``ListReceived`` and ``GetReceived`` in ``src/wallet/rpc``)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import Call, Int32, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import decode_destination, encode_address
from bitcoind_mp.wallet.addressing.addresses import destination_order, has_address
from bitcoind_mp.wallet.transactions import WalletTx
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .rendering import label_from


@dataclass
class _Tally:
    amount: int = 0
    depth: int | None = None
    txids: list[bytes] = field(default_factory=list)

    def add(self, amount: int, depth: int | None) -> None:
        self.amount += amount
        if depth is not None:
            self.depth = depth if self.depth is None else min(self.depth, depth)


class ReceivedCommands:
    """Sums over payments to us."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet")
    async def listreceivedbyaddress(
        self,
        call: Call,
        minconf: Int32 = 1,
        include_empty: bool = False,
        include_watchonly: bool = False,
        address_filter: str | None = None,
        include_immature_coinbase: bool = False,
    ) -> list[dict[str, Any]]:
        """Lists what was received by each receiving address.

        Args:
            minconf: The minimum number of confirmations before payments are included
            include_empty: Whether to include addresses that haven't received any payments
            include_watchonly: (DEPRECATED) No longer used
            address_filter: If present and non-empty, only return information on this address
            include_immature_coinbase: Include immature coinbase transactions

        Returns:
            address, amount, confirmations, label and txids of each
        """
        wallet = await self._wallets.current(call)
        only = self._filter(wallet, address_filter)
        tallies = _tallies(wallet, minconf, include_immature_coinbase)
        return [
            {
                "address": encode_address(script, wallet.options.chain),
                "amount": btc(tally.amount),
                "confirmations": tally.depth or 0,
                "label": label,
                "txids": [txid.hex() for txid in tally.txids],
            }
            for script, label, tally in _by_address(wallet, tallies, include_empty, only)
        ]

    @staticmethod
    def _filter(wallet: Wallet, address: str | None) -> bytes | None:
        if not address:
            return None
        script = decode_destination(address, wallet.options.chain).script
        if script is None:
            raise RpcError(RpcCode.WALLET_ERROR, "address_filter parameter was invalid")
        return script

    @command("wallet")
    async def listreceivedbylabel(
        self,
        call: Call,
        minconf: Int32 = 1,
        include_empty: bool = False,
        include_watchonly: bool = False,
        include_immature_coinbase: bool = False,
    ) -> list[dict[str, Any]]:
        """Lists what was received by the addresses of each label.

        Args:
            minconf: The minimum number of confirmations before payments are included
            include_empty: Whether to include labels that haven't received any payments
            include_watchonly: (DEPRECATED) No longer used
            include_immature_coinbase: Include immature coinbase transactions

        Returns:
            amount, confirmations and label of each
        """
        wallet = await self._wallets.current(call)
        labels: dict[str, _Tally] = {}
        tallies = _tallies(wallet, minconf, include_immature_coinbase)
        for _, label, tally in _by_address(wallet, tallies, include_empty, None):
            labels.setdefault(label, _Tally()).add(tally.amount, tally.depth)
        return [
            {"amount": btc(tally.amount), "confirmations": tally.depth or 0, "label": label}
            for label, tally in sorted(labels.items(), key=lambda item: item[0].encode())
        ]

    @command("wallet")
    async def getreceivedbyaddress(
        self, call: Call, address: str, minconf: Int32 = 1, include_immature_coinbase: bool = False
    ) -> Decimal:
        """Returns the total amount received by an address.

        Args:
            address: The bitcoin address for transactions
            minconf: Only include transactions confirmed at least this many times
            include_immature_coinbase: Include immature coinbase transactions

        Returns:
            The total amount in BTC
        """
        wallet = await self._wallets.current(call)
        script = decode_destination(address, wallet.options.chain).script
        if script is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid Bitcoin address")
        return _received(wallet, [script], minconf, include_immature_coinbase)

    @command("wallet")
    async def getreceivedbylabel(
        self, call: Call, label: str, minconf: Int32 = 1, include_immature_coinbase: bool = False
    ) -> Decimal:
        """Returns the total amount received by the addresses of a label.

        Args:
            label: The selected label, may be the default label using ""
            minconf: Only include transactions confirmed at least this many times
            include_immature_coinbase: Include immature coinbase transactions

        Returns:
            The total amount in BTC
        """
        wallet = await self._wallets.current(call)
        wanted = label_from(label)
        scripts = [script for script, entry in wallet.book if entry.label == wanted]
        if not scripts:
            raise RpcError(RpcCode.WALLET_ERROR, "Label not found in wallet")
        return _received(wallet, scripts, minconf, include_immature_coinbase)


def _counted(wallet: Wallet, min_depth: int, include_immature: bool) -> Iterator[tuple[WalletTx, int]]:
    """The transactions that count, with their depths."""
    view = wallet.view()
    for tx in wallet.history:
        depth = view.depth(tx)
        if depth < min_depth or (tx.is_coinbase and (depth < 1 or (view.is_immature(tx) and not include_immature))):
            continue
        yield tx, depth


def _tallies(wallet: Wallet, min_depth: int, include_immature: bool) -> dict[bytes, _Tally]:
    tallies: dict[bytes, _Tally] = {}
    for tx, depth in _counted(wallet, min_depth, include_immature):
        for out in tx.tx.vout:
            script = out.script_pub_key.script
            if wallet.owner(script) is not None and has_address(script):
                tally = tallies.setdefault(script, _Tally())
                tally.add(out.value, depth)
                tally.txids.append(tx.txid)
    return tallies


def _by_address(
    wallet: Wallet, tallies: dict[bytes, _Tally], include_empty: bool, only: bytes | None
) -> Iterator[tuple[bytes, str, _Tally]]:
    """The address book's addresses, in Core's order, with what they received."""
    for script, entry in sorted(wallet.book, key=lambda item: destination_order(item[0])):
        if only in (None, script) and (include_empty or script in tallies):
            yield script, entry.label or "", tallies.get(script, _Tally())


def _received(wallet: Wallet, scripts: Collection[bytes], min_depth: int, include_immature: bool) -> Decimal:
    ours = {script for script in scripts if wallet.owner(script) is not None}
    if not ours:
        raise RpcError(RpcCode.WALLET_ERROR, "Address not found in wallet")
    amounts = (
        out.value
        for tx, _ in _counted(wallet, min_depth, include_immature)
        for out in tx.tx.vout
        if out.script_pub_key.script in ours
    )
    return btc(sum(amounts))
