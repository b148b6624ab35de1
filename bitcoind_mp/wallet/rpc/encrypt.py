"""Commands about the wallet's passphrase (``src/wallet/rpc/encrypt.cpp``)."""

from bitcoind_mp.interfaces.command import Call, Secret, command, commit_point
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.wallet.importing import Prepared, add_own, prepare_standard
from bitcoind_mp.wallet.keyring.keystore import prepare_encryption
from bitcoind_mp.wallet.storage import flags as flag
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

#: The longest time a wallet stays unlocked, in seconds.
_MAX_TIMEOUT = 100_000_000
_WRONG = "Error: The wallet passphrase entered was incorrect."
_WRONG_WITH_NULL = (
    "Error: The {}wallet passphrase entered is incorrect. It contains a null character (ie - a zero byte). If the "
    "passphrase was set with a version of this software prior to 25.0, please try again with only the characters up to "
    "— but not including — the first null character.{}"
)
_THEN_CHANGE_IT = " If this is successful, please set a new passphrase to avoid this issue in the future."
_BUSY = (
    "Error: the wallet is currently being used to rescan the blockchain for related transactions. "
    "Please call `abortrescan` before {}."
)


class EncryptCommands:
    """Locking and unlocking."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet", changes=True)
    async def encryptwallet(self, call: Call, passphrase: Secret) -> str:
        """Encrypts the wallet with a passphrase, for the first time.

        After this, any calls that interact with private keys such as sending or signing will require the passphrase to
        be set prior to making these calls, with walletpassphrase. A new seed is made, and with it new descriptors: back
        the wallet up anew.

        Args:
            passphrase: The pass phrase to encrypt the wallet with. It must be at least 1 character, but should be long.

        Returns:
            A string with further instructions
        """
        wallet = self._wallets.chosen(call)
        if not wallet.private_keys_enabled:
            raise RpcError(
                RpcCode.WALLET_ENCRYPTION_FAILED, "Error: wallet does not contain private keys, nothing to encrypt."
            )
        if wallet.keys.is_encrypted:
            raise RpcError(
                RpcCode.WALLET_WRONG_ENC_STATE, "Error: running with an encrypted wallet, but encryptwallet was called."
            )
        self._require_idle(wallet, "encrypting the wallet")
        if not passphrase:
            raise RpcError(RpcCode.INVALID_PARAMETER, "passphrase cannot be empty")
        async with wallet.spending:
            await self._encrypt(wallet, passphrase)
        wallet.changed()
        return (
            "wallet encrypted; The keypool has been flushed and a new HD seed was generated. "
            "You need to make a new backup with the backupwallet RPC."
        )

    @staticmethod
    async def _encrypt(wallet: Wallet, passphrase: str) -> None:
        """Seal the keys and add the new seed's in one step; then leave nothing of the open ones in the file."""
        options = wallet.options
        prepared: list[Prepared] = []
        if flag.BLANK not in wallet.flags:
            prepared = await prepare_standard(options.chain, options.network, options.keypool)
        encryption = await prepare_encryption(passphrase, wallet.keys.cost)
        commit_point()
        with wallet.ledger.transaction():
            wallet.keys.encrypt(*encryption)
            add_own(wallet, prepared, wallet.now())
        wallet.relock.lock()
        wallet.ledger.rewrite()

    @command("wallet", changes=True)
    async def walletpassphrase(self, call: Call, passphrase: Secret, timeout: int) -> None:  # noqa: ASYNC109
        """Stores the wallet decryption key in memory for 'timeout' seconds.

        This is needed prior to performing transactions related to private keys such as sending bitcoins. Issuing it
        while the wallet is already unlocked will set a new unlock time that overrides the old one.

        Args:
            passphrase: The wallet passphrase
            timeout: The time to keep the decryption key in seconds; capped at 100000000 (~3 years).
        """
        wallet = await self._wallets.current(call)
        self._require_encrypted(wallet, "walletpassphrase")
        if timeout < 0:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Timeout cannot be negative.")
        if not passphrase:
            raise RpcError(RpcCode.INVALID_PARAMETER, "passphrase cannot be empty")
        seconds = min(timeout, _MAX_TIMEOUT)
        if not await wallet.keys.unlock(passphrase, seconds):
            raise wrong_passphrase(passphrase)
        wallet.relock.start(seconds)
        wallet.addresses.top_up()
        wallet.changed()

    @command("wallet", changes=True)
    async def walletpassphrasechange(self, call: Call, oldpassphrase: Secret, newpassphrase: Secret) -> None:
        """Changes the wallet passphrase from 'oldpassphrase' to 'newpassphrase'.

        Args:
            oldpassphrase: The current passphrase
            newpassphrase: The new passphrase
        """
        wallet = self._wallets.chosen(call)
        self._require_encrypted(wallet, "walletpassphrasechange")
        self._require_idle(wallet, "changing the passphrase")
        if not oldpassphrase or not newpassphrase:
            raise RpcError(RpcCode.INVALID_PARAMETER, "passphrase cannot be empty")
        commit_point()
        if not await wallet.keys.change_passphrase(oldpassphrase, newpassphrase):
            raise RpcError(RpcCode.WALLET_PASSPHRASE_INCORRECT, _wrong(oldpassphrase, "old "))

    @command("wallet", changes=True)
    def walletlock(self, call: Call) -> None:
        """Removes the wallet encryption key from memory, locking the wallet.

        After calling this method, you will need to call walletpassphrase again before being able to call any methods
        which require the wallet to be unlocked.
        """
        wallet = self._wallets.chosen(call)
        self._require_encrypted(wallet, "walletlock")
        self._require_idle(wallet, "locking the wallet")
        wallet.relock.lock()
        wallet.changed()

    @staticmethod
    def _require_encrypted(wallet: Wallet, name: str) -> None:
        if not wallet.keys.is_encrypted:
            raise RpcError(
                RpcCode.WALLET_WRONG_ENC_STATE,
                f"Error: running with an unencrypted wallet, but {name} was called.",
            )

    def _require_idle(self, wallet: Wallet, doing: str) -> None:
        if self._wallets.attachment(wallet).rescanner.is_busy:
            raise RpcError(RpcCode.WALLET_ERROR, _BUSY.format(doing))


def wrong_passphrase(passphrase: str) -> RpcError:
    """What a wrong one is answered with."""
    return RpcError(RpcCode.WALLET_PASSPHRASE_INCORRECT, _wrong(passphrase, advice=_THEN_CHANGE_IT))


def _wrong(passphrase: str, which: str = "", advice: str = "") -> str:
    return _WRONG_WITH_NULL.format(which, advice) if "\0" in passphrase else _WRONG
