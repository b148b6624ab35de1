"""Commands about wallets as a whole (``src/wallet/rpc/wallet.cpp``)."""

import time
from typing import Any, TypedDict

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.command import Call, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.json_values import expect
from bitcoind_mp.render.transaction import decode_transaction
from bitcoind_mp.wallet.coins import OutPoint
from bitcoind_mp.wallet.storage import flags as flag
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .rendering import last_processed_block

#: What Core gives for descriptor wallets, whose version it no longer counts.
_WALLET_VERSION = 169900
_ALL_FLAGS = (
    *("avoid_reuse", "blank", "key_origin_metadata", "last_hardened_xpub_cached"),
    *("disable_private_keys", "descriptor_wallet", "external_signer"),
)
_REUSE_CAVEAT = (
    "You need to rescan the blockchain in order to correctly mark used destinations in the past. Until this is done, "
    "some destinations may be considered unused, even if the opposite is the case."
)


class SimulationOptions(TypedDict, total=False):
    """`simulaterawtransaction`'s options.

    Args:
        include_watchonly (boolean): No longer used.
    """

    include_watchonly: Any


class WalletCommands:
    """Describing a wallet, and its flags."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet")
    async def getwalletinfo(self, call: Call) -> dict[str, Any]:
        """Returns what there is to know about a wallet's state.

        Returns:
            Its name, what kind it is, how many transactions and addresses it has, whether it is being scanned, and the
            block up to which it has followed; stale_since is there while the node is away
        """
        wallet = await self._wallets.current(call)
        info: dict[str, Any] = {
            "walletname": wallet.name,
            "walletversion": _WALLET_VERSION,
            "format": "sqlite",
            "txcount": len(wallet.history),
            "keypoolsize": wallet.addresses.size(internal=False),
            "keypoolsize_hd_internal": wallet.addresses.size(internal=True),
        }
        if wallet.keys.is_encrypted:
            info["unlocked_until"] = wallet.relock.until
        info["private_keys_enabled"] = wallet.private_keys_enabled
        info["avoid_reuse"] = wallet.avoid_reuse
        info["scanning"] = _scanning(wallet)
        info["descriptors"] = True
        info["external_signer"] = wallet.keys.elsewhere
        info["blank"] = flag.BLANK in wallet.flags
        if wallet.birth_time is not None:
            info["birthtime"] = wallet.birth_time
        info["flags"] = wallet.flags.names()
        info["lastprocessedblock"] = last_processed_block(wallet)
        if wallet.stale_since is not None:
            info["stale_since"] = wallet.stale_since
        return info

    @command("wallet", changes=True)
    def setwalletflag(self, call: Call, flag: str, value: bool = True) -> dict[str, Any]:
        """Changes the state of a wallet flag.

        Args:
            flag: The name of the flag to change: avoid_reuse
            value: The new state

        Returns:
            flag_name, flag_state, and warnings if there are any
        """
        wallet = self._wallets.chosen(call)
        if flag not in _ALL_FLAGS:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Unknown wallet flag: {flag}")
        if flag != "avoid_reuse":
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Wallet flag is immutable: {flag}")
        if (flag in wallet.flags) == value:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Wallet flag is already set to {str(value).lower()}: {flag}")
        with wallet.ledger.transaction():
            wallet.flags.set(flag, value)
        return {"flag_name": flag, "flag_state": value, **({"warnings": _REUSE_CAVEAT} if value else {})}

    @command("wallet", options="options")
    async def simulaterawtransaction(
        self, call: Call, rawtxs: list[str] | None = None, options: SimulationOptions | None = None
    ) -> dict[str, Any]:
        """Calculates the balance change resulting in the signing and broadcasting of the given transaction(s).

        Args:
            rawtxs: Raw transactions in hex
            options: include_watchonly (DEPRECATED, no longer used)

        Returns:
            balance_change: the wallet balance change (negative means decrease)
        """
        wallet = self._wallets.chosen(call)
        change = 0
        made: dict[OutPoint, int] = {}
        spent: set[OutPoint] = set()
        for raw in expect(rawtxs, "array"):
            tx = decode_transaction(expect(raw, "string"))
            if tx is None:
                raise RpcError(RpcCode.DESERIALIZATION_ERROR, "Transaction hex string decoding failure.")
            outpoints = [OutPoint(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin]
            coins = await wallet.chain.coins([(outpoint.txid.hex(), outpoint.n) for outpoint in outpoints])
            for outpoint, coin in zip(outpoints, coins, strict=True):
                if outpoint in spent:
                    raise RpcError(
                        RpcCode.INVALID_PARAMETER, "Transaction(s) are spending the same output more than once"
                    )
                spent.add(outpoint)
                if outpoint in made:
                    change -= made.pop(outpoint)
                    continue
                if coin is None:
                    raise RpcError(
                        RpcCode.INVALID_PARAMETER,
                        "One or more transaction inputs are missing or have been spent already",
                    )
                output = wallet.history.outputs.get(outpoint)
                change -= 0 if output is None else output.amount
            for n, out in enumerate(tx.vout):
                amount = out.value if wallet.owner(out.script_pub_key.script) is not None else 0
                made[OutPoint(tx.id, n)] = amount
                change += amount
        return {"balance_change": btc(change)}


def _scanning(wallet: Wallet) -> dict[str, Any] | bool:
    if wallet.scanning is None:
        return False
    began, progress = wallet.scanning
    return {"duration": int(time.monotonic() - began), "progress": progress}
