"""The connection to the signer, made again whenever it ends."""

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.signer import Signer
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.reconnect import Reconnecting
from bitcoind_mp.ipc.session import Session
from bitcoind_mp.ipc.wire.passing import dialling
from bitcoind_mp.wallet.chain.node_link import through

log = logging.getLogger("bitcoind_mp.wallet")

#: A signer that isn't there is waited for so long by those who call it: it may just be restarting. Seconds.
_PATIENCE = 3.0
#: A call may wait for the owner to confirm it, for 5 minutes. Seconds.
_ANSWER = 330.0

#: What is told a passphrase, or a ticket in its place: that is good with the process that gave it alone, and another
#: one takes it for a passphrase that nobody may tell it. So these aren't asked of the next process.
WITH_TICKETS = ("make", "unlock", "change_passphrase", "take")


class SignerLink:
    """``signer`` may be used at any time: while it is away its methods raise `RpcError` (-9)."""

    def __init__(self, path: Path, hello: Hello, channel: socket.socket | None = None) -> None:
        """``channel``: what the supervisor gave this process alone (``ipc/wire/passing.py``); without one the signer is
        reached by ``path``."""
        self.signer: Signer = through(Signer, self._present, bound=WITH_TICKETS)  # type: ignore[type-abstract]
        dial = dialling(channel)
        self._link = Reconnecting(path, hello=hello, on_up=self._up, on_down=self._down, dial=dial, most=_PATIENCE / 2)
        self.on_lost: Callable[[], None] = lambda: None
        """Called when the signer is gone: what was unlocked is locked."""
        self.on_found: Callable[[], None] = lambda: None
        """Called when it is there."""

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._link.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._link.close()

    async def _present(self) -> Signer:
        absent = "The signer, which holds this wallet's private keys, can't be reached"
        session = await self._link.present(_PATIENCE, absent)
        return proxy(Signer, session, timeout=_ANSWER)  # type: ignore[type-abstract]

    async def _up(self, session: Session) -> None:
        log.info("connected to the signer (pid %d)", session.peer.pid if session.peer else 0)
        asyncio.get_running_loop().call_soon(self.on_found)

    def _down(self, reason: str) -> None:
        log.warning("the signer can't be reached: %s", reason)
        self.on_lost()


def no_signer() -> Signer:
    """What stands for the signer in a process that was started without."""

    async def absent() -> Signer:
        await asyncio.sleep(0)
        raise RpcError(
            RpcCode.WALLET_ERROR,
            "This wallet's private keys are in the signer: start with -signerprocess=1 to use them.",
        )

    return through(Signer, absent)  # type: ignore[type-abstract]
