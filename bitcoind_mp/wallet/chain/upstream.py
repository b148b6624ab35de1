"""The connection to the node: made again whenever it ends, and what every wallet shares of it."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bitcoind_mp.interfaces.chain import Chain, ChainStatus
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.journal import Event, event
from bitcoind_mp.ipc.limits import MAX_FROM_NODE
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.reconnect import Reconnecting
from bitcoind_mp.ipc.session import Session
from bitcoind_mp.ipc.wire.passing import dialling
from bitcoind_mp.wallet.clock import NodeClock
from bitcoind_mp.wallet.wallet import Wallet

from .follow import Attachment
from .node_link import chain_through

log = logging.getLogger("bitcoind_mp.wallet")

#: After it went away, a node is waited for by those who call it: it may just be restarting. Seconds.
_PATIENCE = 2.0
#: So long where its socket keeps us waiting, as it does any caller of a node that is being started again. Seconds.
_LONG_PATIENCE = 30.0
#: Seconds between two looks at whether it still does.
_LOOK_AGAIN = 0.1
#: Seconds that a block may be old before a node takes itself to be in initial download (Core's ``-maxtipage``).
_MAX_TIP_AGE = 24 * 3600


class Upstream:
    """The node, and the wallets that follow it. ``chain`` may be used at any time: while the node is away its methods
    raise `RpcError` (-9) that says since when."""

    def __init__(self, path: Path, hello: Hello, clock: NodeClock, channel: socket.socket | None = None) -> None:
        self.chain: Chain = chain_through(self._present)
        self.away_since: int | None = clock.now()
        self._clock = clock
        self._node: Chain | None = None
        self._attachments: dict[str, Attachment] = {}
        self._link = Reconnecting(
            path, hello=hello, on_up=self._up, on_down=self._down, dial=dialling(channel), limit=MAX_FROM_NODE
        )
        self.on_change: Callable[[], None] = lambda: None
        self.busy_at: float | None = None
        """When the node last answered that it is still coming up (the loop's clock), None where it didn't since."""
        self._clock_of_loop = asyncio.get_running_loop().time
        self._patient_until = self._kept_waiting_until = self._clock_of_loop() + _PATIENCE
        self._patience_is_over = False
        self._downloading = False

    async def up(self, patience: float) -> None:
        """Wait for the node, ``patience`` seconds at most."""
        with suppress(CallTimeout):
            await self._link.up(patience)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._link.start()

    def give_up(self) -> None:
        """Let nobody wait for a node that is away any more."""
        self._patience_is_over = True

    async def close(self) -> None:
        """Let every wallet go and disconnect."""
        for attachment in list(self._attachments.values()):
            await attachment.stop()
        self._attachments = {}
        await self._link.close()

    @property
    def is_refused(self) -> bool:
        """Whether the newest attempt found nobody, or was told that the node is down. Not so while somebody keeps us
        waiting, or says that the node is coming up."""
        return self._link.session is None and self._link.has_failed and self.busy_at is None

    @property
    def reason(self) -> str:
        """Why the node is away, for people; empty while it is there."""
        return self._link.reason

    def has_all(self, tip_time: int) -> bool:
        """Whether a wallet that has reached the node's tip, of that time, has what the network has: not so while the
        node is in initial download. It tells when we ask; by itself, by newer blocks."""
        return not self._downloading or tip_time > self._clock.now() - _MAX_TIP_AGE

    def _observe(self, status: ChainStatus) -> None:
        self._clock.observe(status)
        self._downloading = status.initial_block_download and status.chain != "regtest"

    def attach(self, wallet: Wallet) -> Attachment:
        """Keep a wallet on the feed from now on."""
        attachment = Attachment(wallet, self._connected, self._observe)
        self._attachments[wallet.name] = attachment
        if self._link.session is None:
            self._mark_stale(wallet)
        else:
            wallet.node_gone.clear()
        attachment.start()
        return attachment

    async def detach(self, wallet: Wallet) -> None:
        """Follow for it no longer."""
        attachment = self._attachments.pop(wallet.name, None)
        if attachment is not None:
            await attachment.stop()

    async def _present(self) -> Chain:
        while (
            self._node is None
            and not self._patience_is_over
            and self._clock_of_loop() < (self._patient_until if self.is_refused else self._kept_waiting_until)
        ):
            with suppress(CallTimeout):
                await self._link.up(_LOOK_AGAIN)
        if self._node is None:
            raise RpcError(
                RpcCode.CLIENT_NOT_CONNECTED,
                f"The node can't be reached ({self._link.reason}); the wallet is as of {_utc(self.away_since)} "
                "and goes on when the node is back.",
            )
        return self._node

    async def _connected(self) -> "asyncio.Future[None]":
        """Wait for the node; the future is done when that connection has ended."""
        session = await self._link.up()
        return session.closed

    async def _up(self, session: Session) -> None:
        node = proxy(Chain, session)  # type: ignore[type-abstract]
        try:
            status = await node.status()
        except (Disconnected, CallTimeout) as error:
            raise RpcError(RpcCode.CLIENT_NOT_CONNECTED, str(error)) from error
        except RpcError as error:
            if error.code == RpcCode.IN_WARMUP:
                self.busy_at = self._clock_of_loop()
                self.on_change()
            raise
        self._observe(status)
        self._node = node
        self.busy_at = None
        self.away_since = None
        for attachment in self._attachments.values():
            attachment.wallet.node_gone.clear()
        pid = session.peer.pid if session.peer else 0
        log.info("connected to the node (pid %d) at height %d", pid, status.tip.height, extra=event(Event.NODE_FOUND))
        self.on_change()

    def _down(self, reason: str) -> None:
        if self._node is not None or self.away_since is None:
            self.away_since = self._clock.now()
            self._patient_until = self._clock_of_loop() + _PATIENCE
            self._kept_waiting_until = self._clock_of_loop() + _LONG_PATIENCE
        self._node = None
        log.warning("the node can't be reached: %s", reason, extra=event(Event.NODE_LOST))
        for attachment in self._attachments.values():
            self._mark_stale(attachment.wallet)
        self.on_change()

    def _mark_stale(self, wallet: Wallet) -> None:
        wallet.node_gone.set()
        if wallet.stale_since is None:
            wallet.stale_since = self.away_since
            wallet.changed()


def _utc(seconds: int | None) -> str:
    """As the log writes times. None: it went just now."""
    return "now" if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
