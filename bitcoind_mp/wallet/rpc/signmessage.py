"""`signmessage` (``src/wallet/rpc/signmessage.cpp``)."""

import base64

from btclib.ecc import bms
from btclib.hashes import hash160
from btclib.key import PrvKeyData

from bitcoind_mp.interfaces.command import Call, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import decode_destination
from bitcoind_mp.wallet.addressing.addresses import kind_of
from bitcoind_mp.wallet.keyring.signer_keys import SignerKeys
from bitcoind_mp.wallet.wallets.manager import Wallets


class MessageCommands:
    """Proofs that an address is ours."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet")
    async def signmessage(self, call: Call, address: str, message: str) -> str:
        """Signs a message with the private key of an address.

        Requires wallet passphrase to be set with walletpassphrase call if wallet is encrypted.

        Args:
            address: The bitcoin address to use for the private key
            message: The message to create a signature of

        Returns:
            The signature of the message encoded in base 64
        """
        wallet = self._wallets.chosen(call)
        wallet.require_unlocked()
        script = decode_destination(address, wallet.options.chain).script
        if script is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid address")
        if kind_of(script) != "pubkeyhash":
            raise RpcError(RpcCode.TYPE_ERROR, "Address does not refer to key")
        owner = wallet.owner(script)
        if owner is not None and isinstance(wallet.keys, SignerKeys):
            text = wallet.descriptors.get(owner.descriptor).text
            return await wallet.keys.sign_message(text, owner.index, message)
        keys = {} if owner is None else wallet.private_keys(owner)
        found = next(((key, secret) for key, secret in keys.items() if hash160(key) == script[3:23]), None)
        if found is None:
            raise RpcError(RpcCode.WALLET_ERROR, "Private key not available")
        key, secret = found
        prv_key = PrvKeyData(int.from_bytes(secret, "big"), wallet.options.network, len(key) == 33)
        return base64.b64encode(bms.sign(message.encode(), prv_key).serialize()).decode()
