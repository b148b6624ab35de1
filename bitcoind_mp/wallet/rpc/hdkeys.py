"""Commands about extended keys and the descriptors below them (``src/wallet/rpc/wallet.cpp``)."""

from typing import Any, TypedDict

from btclib.exceptions import BTClibValueError
from btclib_wallet.bip32.bip32 import BIP32KeyData

from bitcoind_mp.interfaces.command import Call, command, commit_point
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.json_values import expect
from bitcoind_mp.signing.descriptor_keys import plain_keys
from bitcoind_mp.signing.seeds import descriptor_text
from bitcoind_mp.wallet.importing import add_own, prepare
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .addresses import parse_output_type


class HdKeyOptions(TypedDict, total=False):
    """`gethdkeys`'s options.

    Args:
        active_only (boolean): Only the keys of active descriptors. Default: false.
        private (boolean): Show the private keys too. Default: false.
    """

    active_only: Any
    private: Any


class NewDescriptorOptions(TypedDict, total=False):
    """`createwalletdescriptor`'s options.

    Args:
        internal (boolean): Make only the descriptor for change (true) or for receiving (false). Default: both.
        hdkey: The extended public key to derive from, one of gethdkeys whose private half the wallet has.
            Default: the one that all other active descriptors use.
    """

    internal: Any
    hdkey: str


class HdKeyCommands:
    """Extended keys."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet", options="options")
    def gethdkeys(self, call: Call, options: HdKeyOptions | None = None) -> list[dict[str, Any]]:
        """Lists all BIP 32 HD keys in the wallet and which descriptors use them.

        Args:
            options: active_only (only keys of active descriptors), private (show private keys)

        Returns:
            xpub, has_private, xprv where asked for, and the descriptors of each
        """
        wallet = self._wallets.chosen(call)
        given = dict(options or {})
        active_only = "active_only" in given and expect(given["active_only"], "bool")
        private = "private" in given and expect(given["private"], "bool")
        if private:
            wallet.require_unlocked()
        rows: list[dict[str, Any]] = []
        for xpub, users in sorted(_users(wallet, active_only).items(), key=lambda item: _core_order(item[0])):
            row: dict[str, Any] = {"xpub": xpub, "has_private": wallet.keys.holds(xpub)}
            if private and wallet.keys.holds(xpub):
                row["xprv"] = wallet.keys.secret(xpub)
            row["descriptors"] = [{"desc": desc, "active": active} for desc, active in sorted(users)]
            rows.append(row)
        return rows

    @command("wallet", options="options", changes=True)
    async def createwalletdescriptor(
        self, call: Call, type: str, options: NewDescriptorOptions | None = None
    ) -> dict[str, Any]:
        """Creates the wallet's descriptor for the given address type, one that it does not already have.

        Requires wallet passphrase to be set with walletpassphrase call if wallet is encrypted.

        Args:
            type: The address type the descriptor will produce: legacy, p2sh-segwit, bech32, bech32m
            options: internal (only make the change descriptor, or only the other), hdkey (the HD key to use: one that
                the wallet knows the private key of; default: the one used by all other active descriptors)

        Returns:
            descs: the public descriptors that were added to the wallet
        """
        wallet = self._wallets.chosen(call)
        kind = parse_output_type(type)
        given = dict(options or {})
        internal = given.get("internal")
        internals = [False, True] if internal is None else [bool(expect(internal, "bool"))]
        wallet.require_unlocked()
        xpub = _hd_key(wallet, given.get("hdkey"))
        if not wallet.keys.holds(xpub):
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"Private key for {xpub} is not known")
        network, chain = wallet.options.network, wallet.options.chain
        missing = [
            one for one in internals if wallet.descriptors.find(descriptor_text(xpub, network, kind, one)) is None
        ]
        if not missing:
            raise RpcError(RpcCode.WALLET_ERROR, "Descriptor already exists")
        xprv = wallet.keys.secret(xpub)
        prepared = [
            await prepare(descriptor_text(xprv, network, kind, one), kind, one, chain, wallet.options.keypool)
            for one in missing
        ]
        commit_point()
        with wallet.ledger.transaction():
            added = add_own(wallet, prepared, wallet.now())
        wallet.changed()
        return {"descs": [found.normalized for found in added]}


def _users(wallet: Wallet, active_only: bool) -> dict[str, set[tuple[str, bool]]]:
    """Each extended public key, with the descriptors that name it and whether they are active."""
    users: dict[str, set[tuple[str, bool]]] = {}
    for found in wallet.descriptors:
        active = wallet.descriptors.is_internal(found.number) is not None
        if active_only and not active:
            continue
        for key in plain_keys(found.source):
            if key.xkey:
                users.setdefault(key.xkey, set()).add((found.normalized, active))
    return users


def _hd_key(wallet: Wallet, given: Any) -> str:
    if given is None:
        active = _users(wallet, active_only=True)
        if len(active) != 1:
            raise RpcError(
                RpcCode.INVALID_ADDRESS_OR_KEY,
                "Unable to determine which HD key to use from active descriptors. Please specify with 'hdkey'",
            )
        return next(iter(active))
    text = str(expect(given, "string"))
    try:
        is_public = not BIP32KeyData.b58decode(text).is_private
    except (BTClibValueError, ValueError):
        is_public = False
    if not is_public:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Unable to parse HD key. Please provide a valid xpub")
    return text


def _core_order(xpub: str) -> tuple[bytes, bytes]:
    """``CExtPubKey``'s order: by key, then by chain code."""
    data = BIP32KeyData.b58decode(xpub)
    return data.key, data.chain_code
