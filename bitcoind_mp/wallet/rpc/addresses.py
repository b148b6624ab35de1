"""Commands about the wallet's addresses and labels (``src/wallet/rpc/addresses.cpp``)."""

import asyncio
from typing import Any

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import Call, Int32, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import decode_destination, encode_address
from bitcoind_mp.wallet.addressing.addresses import destination_order
from bitcoind_mp.wallet.coins import OutputType
from bitcoind_mp.wallet.wallets.manager import Wallets

from .address_info import address_info
from .rendering import label_from

_NO_KEYS = "Error: This wallet has no available keys"
_PURPOSES = ("receive", "send", "refund")


def parse_output_type(text: str) -> OutputType:
    """An address type by Core's name. Raises `RpcError` (-5)."""
    try:
        return OutputType(text)
    except ValueError:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"Unknown address type '{text}'") from None


class AddressCommands:
    """New addresses, and what is known of them."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet", changes=True)
    def getnewaddress(self, call: Call, label: str = "", address_type: str | None = None) -> str:
        """Returns a new Bitcoin address for receiving payments.

        Args:
            label: The label name for the address to be linked to; it is created if there is none by that name
            address_type: The address type to use (default: set by -addresstype): legacy, p2sh-segwit, bech32, bech32m

        Returns:
            The new bitcoin address
        """
        wallet = self._wallets.chosen(call)
        if not wallet.addresses.can_give():
            raise RpcError(RpcCode.WALLET_ERROR, _NO_KEYS)
        checked = label_from(label)
        kind = wallet.options.address_type if address_type is None else parse_output_type(address_type)
        return wallet.new_address(kind, checked)

    @command("wallet", changes=True)
    def getrawchangeaddress(self, call: Call, address_type: str | None = None) -> str:
        """Returns a new Bitcoin address for receiving change, for use with raw transactions.

        Args:
            address_type: The address type to use (default: set by -changetype): legacy, p2sh-segwit, bech32, bech32m

        Returns:
            The address
        """
        wallet = self._wallets.chosen(call)
        if not wallet.addresses.can_give(internal=True):
            raise RpcError(RpcCode.WALLET_ERROR, _NO_KEYS)
        kind = wallet.options.change_type or wallet.options.address_type
        if address_type is not None:
            kind = parse_output_type(address_type)
        reservation = wallet.addresses.change(kind)
        wallet.addresses.keep(reservation)
        return reservation.address

    @command("wallet", changes=True)
    def setlabel(self, call: Call, address: str, label: str) -> None:
        """Sets the label associated with the given address.

        Args:
            address: The bitcoin address to be associated with a label
            label: The label to assign to the address
        """
        wallet = self._wallets.chosen(call)
        script = decode_destination(address, wallet.options.chain).script
        if script is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid Bitcoin address")
        wallet.label(script, label_from(label))

    @command("wallet")
    def getaddressinfo(self, call: Call, address: str) -> dict[str, Any]:
        """Returns information about the given bitcoin address, some of it only where it is the wallet's.

        Args:
            address: The bitcoin address for which to get information

        Returns:
            What the address stands for, whether it is ours, its descriptor and key, and its labels
        """
        wallet = self._wallets.chosen(call)
        destination = decode_destination(address, wallet.options.chain)
        if destination.script is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, destination.error or "Invalid address")
        return address_info(wallet, destination.script)

    @command("wallet")
    def getaddressesbylabel(self, call: Call, label: str) -> dict[str, Any]:
        """Returns the addresses assigned the specified label.

        Args:
            label: The label

        Returns:
            Each address with its purpose, "send" or "receive"
        """
        wallet = self._wallets.chosen(call)
        wanted = label_from(label)
        found = {
            str(encode_address(script, wallet.options.chain)): {"purpose": entry.purpose or "unknown"}
            for script, entry in sorted(wallet.book, key=lambda item: destination_order(item[0]))
            if entry.label == wanted
        }
        if not found:
            raise RpcError(RpcCode.WALLET_INVALID_LABEL_NAME, f"No addresses with label {wanted}")
        return found

    @command("wallet")
    def listlabels(self, call: Call, purpose: str | None = None) -> list[str]:
        """Returns all labels, or those assigned to addresses with a specific purpose.

        Args:
            purpose: The purpose to list labels for, send or receive (default: any)

        Returns:
            The labels
        """
        wallet = self._wallets.chosen(call)
        if purpose and purpose not in _PURPOSES:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                "Invalid 'purpose' argument, must be a known purpose string, typically 'send', or 'receive'.",
            )
        return sorted(wallet.book.labels(purpose or None), key=str.encode)

    @command("wallet")
    async def listaddressgroupings(self, call: Call) -> list[list[list[Any]]]:
        """Lists groups of addresses whose common ownership was made public: as inputs of one transaction, or as its
        change.

        Returns:
            For each group its addresses: the address, the amount in BTC, and its label where it has one
        """
        wallet = await self._wallets.current(call)
        view = wallet.view()
        balances = view.address_balances()
        groups: list[list[list[Any]]] = []
        for group in view.groupings():
            rows: list[list[Any]] = []
            for script in group:
                entry = wallet.book.get(script)
                row: list[Any] = [encode_address(script, wallet.options.chain), btc(balances.get(script, 0))]
                rows.append(row if entry is None else [*row, entry.label or ""])
            groups.append(rows)
        return groups

    @command("wallet", changes=True)
    async def keypoolrefill(self, call: Call, newsize: Int32 | None = None) -> None:
        """Derives addresses ahead of use, for each active descriptor.

        Requires wallet passphrase to be set with walletpassphrase call if wallet is encrypted.

        Args:
            newsize: The new keypool size (default: as set by -keypool)
        """
        wallet = self._wallets.chosen(call)
        if newsize is not None and newsize < 0:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, expected valid size.")
        wallet.require_unlocked()
        for _ in wallet.addresses.top_up_in_steps(newsize or wallet.options.keypool):
            await asyncio.sleep(0)
            if self._wallets.get(wallet.name) is not wallet:
                raise RpcError(RpcCode.WALLET_NOT_FOUND, "The wallet was unloaded meanwhile")
        if wallet.addresses.size() < (newsize or 0):
            raise RpcError(RpcCode.WALLET_ERROR, "Error refreshing keypool.")
        wallet.history.find_new_outputs()
