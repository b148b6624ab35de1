"""Whom the node calls by itself, and how long it waits to call again: ``-connect``, ``-addnode`` and ``addnode``."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from .connection import Connection
from .endpoint import Endpoint, parse_endpoint
from .peer import Peer, Role

log = logging.getLogger("bitcoind_mp.net")

_CONNECT_TIMEOUT = 5.0
#: Seconds between attempts to reach a named peer: from the first to the last, doubling.
_RETRY = (0.5, 60.0)


class NodeAlreadyAddedError(Exception):
    """``addnode add`` of one that is there."""


class NodeNotAddedError(Exception):
    """``addnode remove`` of one that isn't."""


@dataclass(eq=False)
class Target:
    """A peer that we call. ``text`` is how the operator wrote it."""

    text: str
    endpoint: Endpoint
    role: Role = Role.MANUAL
    task: asyncio.Task[None] | None = None


class Connections(Protocol):
    """What calling needs of whoever keeps the connections (`manager.Peers`)."""

    network_active: bool

    def connection(self, role: Role) -> Connection: ...

    def connected_to(self, endpoint: Endpoint) -> bool: ...


class Calling:
    """The named peers, each called again whenever its connection is lost. Lives in the loop."""

    def __init__(self, connections: Connections, default_port: int) -> None:
        self._connections = connections
        self._default_port = default_port
        self._targets: list[Target] = []
        self._added: dict[str, Target] = {}

    def start(self, connect: Iterable[str], add: Iterable[str]) -> None:
        """Call those of the configuration.

        Raises:
            ValueError: not a host and port.
        """
        targets = [self._target(text) for text in connect]
        self._added = {text: self._target(text) for text in add}
        for target in (*targets, *self._added.values()):
            self._call(target)

    def cancel(self) -> list[asyncio.Task[None]]:
        """Call nobody any more; the tasks that are ending."""
        tasks = [target.task for target in self._targets if target.task is not None]
        for task in tasks:
            task.cancel()
        return tasks

    @property
    def named(self) -> int:
        """How many there are to be called."""
        return len(self._targets)

    @property
    def added_nodes(self) -> dict[str, Target]:
        """What ``-addnode`` and ``addnode add`` named."""
        return dict(self._added)

    def add_node(self, text: str) -> None:
        """Keep a connection to that peer from now on.

        Raises:
            NodeAlreadyAddedError, ValueError.
        """
        target = self._target(text)
        if any(other.endpoint == target.endpoint for other in self._added.values()):
            raise NodeAlreadyAddedError(text)
        self._added[text] = target
        self._call(target)

    def remove_node(self, text: str) -> None:
        """Call it no more; an open connection stays.

        Raises:
            NodeNotAddedError: it isn't one of `added_nodes`.
        """
        target = self._added.pop(text, None)
        if target is None:
            raise NodeNotAddedError(text)
        if target.task is not None:
            target.task.cancel()
        self._targets.remove(target)

    def try_node(self, text: str, role: Role = Role.MANUAL) -> None:
        """Call it once (``addnode onetry``, ``addconnection``).

        Raises:
            ValueError: not a host and port.
        """
        target = Target(text, parse_endpoint(text, self._default_port), role)
        self._targets.append(target)
        target.task = asyncio.get_running_loop().create_task(self._once(target))

    def _target(self, text: str) -> Target:
        return Target(text, parse_endpoint(text, self._default_port))

    def _call(self, target: Target) -> None:
        self._targets.append(target)
        target.task = asyncio.get_running_loop().create_task(self._keep_calling(target))

    async def _once(self, target: Target) -> None:
        try:
            await self._connect(target)
        finally:
            self._targets.remove(target)

    async def _keep_calling(self, target: Target) -> None:
        """Connect, wait until the connection is lost, wait longer after each failure, again."""
        wait = _RETRY[0]
        while True:
            peer = await self._connect(target)
            if peer is not None and peer.ready:
                wait = _RETRY[0]
            await asyncio.sleep(wait)
            wait = min(wait * 2, _RETRY[1])

    async def _connect(self, target: Target) -> Peer | None:
        """One connection from beginning to end; the peer it was with."""
        place = target.endpoint
        if not self._connections.network_active or self._connections.connected_to(place):
            return None
        connection = self._connections.connection(target.role)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await asyncio.get_running_loop().create_connection(lambda: connection, place.host, place.port)
        except (OSError, TimeoutError) as error:
            log.debug("connection to %s failed: %s", place, error or "timed out")
            return None
        if connection.task is not None:
            await asyncio.wait([connection.task])
        return connection.peer
