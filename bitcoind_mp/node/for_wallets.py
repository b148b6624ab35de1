"""Where wallets come in over the channel that the supervisor gave them, and what they may call there: `Chain`, and none
of the node's commands. A wallet's process that was broken into can't stop the node, nor set it at odds with its peers.
"""

import logging
import socket

from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.ipc.limits import MAX_FROM_WALLET
from bitcoind_mp.ipc.serve.entrance import Entrance, by
from bitcoind_mp.ipc.serve.server import Server

log = logging.getLogger("bitcoind_mp")

#: So many different methods are told of in the log, each once: a caller who means ill is not to fill it.
_MOST_TOLD = 64
_LONGEST_TOLD = 60


class ForWallets:
    """``channel``: this process's end, None where it was given none; then wallets call as anybody does. What is served
    is added to ``server`` once it is there."""

    def __init__(self, channel: socket.socket | None, hello: Hello, warmup: str) -> None:
        self.server = Server(
            [], hello=hello, warmup=warmup, on_unknown=self._refused, limit=MAX_FROM_WALLET, batches=False
        )
        self._entrance = Entrance(channel, by(self.server)) if channel is not None else None
        self._told: set[str] = set()

    def open(self) -> None:
        """Begin to take them; returns at once."""
        if self._entrance is not None:
            self._entrance.open()

    async def close(self, deadline: float) -> None:
        """Take no more; as `Server.close`. Whoever comes now waits for the next process."""
        if self._entrance is not None:
            await self._entrance.close()
        await self.server.close(deadline)

    def _refused(self, method: str) -> None:
        if not self.server.warmup and method not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(method)
            log.warning("refused a wallet's process the method %r, which is not for wallets", method[:_LONGEST_TOLD])
