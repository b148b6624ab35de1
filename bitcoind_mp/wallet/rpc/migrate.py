"""`migratetosigner`, which Bitcoin Core doesn't have."""

from typing import Any

from bitcoind_mp.config.instances import escaped
from bitcoind_mp.interfaces.command import Call, Secret, command, commit_point
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .encrypt import wrong_passphrase


def unit_of(only: str) -> str:
    """What the supervisor calls this process, which serves that wallet alone where one is named."""
    return f"wallet@{escaped(only)}" if only else "wallet"


class MigrationCommands:
    """Moving a wallet's keys."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet", changes=True)
    async def migratetosigner(self, call: Call, passphrase: Secret, newpassphrase: Secret = "") -> dict[str, Any]:
        """Moves the private keys of an encrypted wallet from its file to the signer (-signerprocess), for good.

        The file is copied first, keys and all, sealed as they were. It gives them up once the signer has shown that it
        can read each of them back; then nothing of them is left in it. The wallet is locked afterwards. To have the
        keys back, exportsignerkeys shows them.

        Args:
            passphrase: The wallet's passphrase
            newpassphrase: The passphrase that it is to have from then on (default: the same)

        Returns:
            keyset (what the signer calls the keys), backup (the path of the copy), and a warning about what is still in
            the memory of the wallet's process
        """
        wallet = self._wallets.chosen(call)
        self._check(wallet)
        async with wallet.spending:
            self._check(wallet)
            if not await wallet.keys.unlock(passphrase):
                raise wrong_passphrase(passphrase)
            commit_point()
            try:
                moved = await self._wallets.move_to_signer(wallet, newpassphrase or passphrase)
            finally:
                wallet.relock.lock()
        return {
            "keyset": moved.keyset,
            "backup": str(moved.backup),
            "warning": "The process of the wallet has had the keys until now: start a new one, with restart "
            f"{unit_of(wallet.options.only or '')}.",
        }

    def _check(self, wallet: Wallet) -> None:
        if wallet.keys.elsewhere:
            raise RpcError(RpcCode.WALLET_ERROR, "The private keys of this wallet are in the signer already.")
        if not wallet.private_keys_enabled or not wallet.keys.publics:
            raise RpcError(RpcCode.WALLET_ERROR, "Error: wallet does not contain private keys, nothing to move.")
        if not wallet.keys.is_encrypted:
            raise RpcError(
                RpcCode.WALLET_WRONG_ENC_STATE,
                "Error: running with an unencrypted wallet, but migratetosigner was called. Encrypt it first, with "
                "encryptwallet: its copy must not hold open keys.",
            )
        if self._wallets.attachment(wallet).rescanner.is_busy:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                "Error: the wallet is currently being used to rescan the blockchain for related transactions. "
                "Please call `abortrescan` before moving its keys.",
            )
