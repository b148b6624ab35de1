"""A process that serves one wallet, which another process makes and unloads (-walletprocess=each): it comes up with its
wallet or not at all."""

import asyncio
import contextlib
import ctypes

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError, RpcCode, RpcError
from bitcoind_mp.interfaces.wallet_units import OpenWallet
from bitcoind_mp.wallet.storage.ledger import WalletFileError
from bitcoind_mp.wallet.wallets.manager import Wallets
from bitcoind_mp.wallet.wallets.shelf import YOUNG


async def load_it(wallets: Wallets, name: str) -> None:
    """Load the wallet, and keep of the memory that this took what is in use: there may be a hundred of such processes.

    Raises:
        FatalError: why it can't be, in the words that a caller of loadwallet is told.
    """
    try:
        await wallets.load(name, patience=0)
    except RpcError as error:
        raise FatalError(error.message, status=_status(error)) from error
    with contextlib.suppress(AttributeError, OSError):  # a C library that has no such thing
        ctypes.CDLL(None).malloc_trim(0)


def _status(refused: RpcError) -> ExitStatus:
    cause = refused.__cause__
    if isinstance(cause, WalletFileError) and cause.is_taken:
        return ExitStatus.LOCKED
    if refused.code == RpcCode.DATABASE_ERROR:
        return ExitStatus.DISK_FULL
    if refused.code == RpcCode.WALLET_NOT_FOUND or YOUNG in refused.message:
        return ExitStatus.CONFIG
    return ExitStatus.DATA_CORRUPT


class TheWallet(OpenWallet):
    """``loaded`` is set once its wallet is there."""

    def __init__(self, wallets: Wallets, name: str) -> None:
        self.loaded = asyncio.Event()
        self.name = name
        self._wallets = wallets

    async def opened(self, patience: float) -> None:
        await self.loaded.wait()
        wallet = self._wallets.get(self.name)
        if wallet is not None:
            await self._wallets.attachment(wallet).until_live(patience)

    async def is_idle(self) -> None:
        await self.loaded.wait()
        wallet = self._wallets.get(self.name)
        if wallet is not None:
            self._wallets.attachment(wallet).rescanner.require_idle()
