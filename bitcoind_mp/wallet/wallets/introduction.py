"""Telling the signer what the wallets are called whose keys it holds, whenever one is loaded and whenever it is back.

What the owner then says about a wallet by its name goes to the signer, whatever this process says later; and what the
signer unlocked at its start (-walletunlock) is unlocked here too.
"""

import asyncio
import logging
from collections.abc import Iterable

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.wallet.keyring.signer_keys import SignerKeys
from bitcoind_mp.wallet.wallet import Wallet

log = logging.getLogger("bitcoind_mp.wallet")


class Introductions:
    """Those under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, wallets: Iterable[Wallet]) -> None:
        """Tell of these; returns at once."""
        for wallet in wallets:
            if isinstance(wallet.keys, SignerKeys):
                task = asyncio.get_running_loop().create_task(introduce(wallet, wallet.keys))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()


async def introduce(wallet: Wallet, keys: SignerKeys) -> None:
    """Tell of one, and note whether the signer has its keys. One that is away is told when it is back."""
    try:
        seconds = await keys.introduce(wallet.name)
    except RpcError as error:
        keys.problem = error.message
        log.warning("[%s] %s", wallet.name, error.message)
        wallet.changed()
        return
    keys.problem = ""
    if seconds:
        wallet.relock.start(seconds)
        wallet.changed()


async def warnings_of(wallet: Wallet) -> list[str]:
    """What to tell whoever has a wallet loaded: that it could be paid and couldn't pay."""
    if not isinstance(wallet.keys, SignerKeys):
        return []
    await introduce(wallet, wallet.keys)
    return [f"Nothing can be signed for this wallet: {wallet.keys.problem}"] if wallet.keys.problem else []
