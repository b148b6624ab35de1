"""Notifications for people's eyes: what a shell's toolbar or an operator's hook subscribes to.

Unlike the block feed these may be coalesced: only the newest state of a topic matters. Each subscription first
tells the present state of every topic asked for, then each change, at most a few times a second.

Topics and payloads (JSON objects):

- ``unit`` (supervisor): ``{"units": [{"name", "state", "pid", "since", "restarts", "health", "status"}]}``
- ``tip`` (node): ``{"chain", "height", "headers", "hash", "time", "initialblockdownload", "peers"}``
- ``mempool`` (node): ``{"size", "bytes"}``
- ``balance`` (wallet): ``{"wallets": [{"name", "trusted", "pending", "immature", "scanning", "height"}]}``,
  amounts in satoshis
"""

from abc import ABC, abstractmethod
from typing import Any

from .command import interface_method


class EventSink(ABC):
    """The receiving end; sent as JSON-RPC notifications on the subscriber's connection."""

    @interface_method("event.changed", notification=True)
    @abstractmethod
    async def changed(self, topic: str, state: dict[str, Any]) -> None:
        """The topic's newest state."""


class Events(ABC):
    """Any server that has topics to tell."""

    @interface_method("events.subscribe")
    @abstractmethod
    async def subscribe(self, topics: list[str], sink: EventSink) -> list[str]:
        """Tell ``sink`` of these topics until the connection ends; returns those that this server has."""
