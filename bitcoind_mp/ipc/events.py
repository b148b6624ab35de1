"""The one implementation of `interfaces.events.Events`: topics, each with its newest state, told to subscribers.

What the topics are and when they change is the node's, the wallet's and the supervisor's affair.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected
from bitcoind_mp.interfaces.events import Events, EventSink

from .proxy import on_disconnect

logger = logging.getLogger("bitcoind_mp.ipc")


class _Subscriber:
    """A sink, the topics it wants, and those of them whose newest state it hasn't been told."""

    def __init__(self, sink: EventSink, topics: Iterable[str]) -> None:
        self.sink = sink
        self.topics = set(topics)
        self.untold: dict[str, None] = {}
        self.task: asyncio.Task[None] | None = None


class Publisher(Events):
    """Topics with their newest state. ``publish`` may be called as often as one likes, in the loop's thread: what is
    told is coalesced to one notification each ``interval`` seconds and topic, the newest state alone. A subscriber
    that reads slowly gets fewer of them and delays nobody."""

    def __init__(self, topics: Iterable[str], *, interval: float = 0.25) -> None:
        self._interval = interval
        self._states: dict[str, dict[str, Any] | None] = dict.fromkeys(topics)
        self._told_at: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._subscribers: list[_Subscriber] = []

    def publish(self, topic: str, state: dict[str, Any]) -> None:
        """The topic's state is this now. Nothing is sent where it equals the present one. Raises KeyError for a topic
        that wasn't named at construction."""
        if self._states[topic] == state:
            return
        self._states[topic] = state
        if topic in self._timers or not any(topic in subscriber.topics for subscriber in self._subscribers):
            return
        loop = asyncio.get_running_loop()
        due = self._told_at.get(topic, float("-inf")) + self._interval
        if due <= loop.time():
            self._tell(topic)
        else:
            self._timers[topic] = loop.call_at(due, self._tell, topic)

    async def subscribe(self, topics: list[str], sink: EventSink) -> list[str]:
        known = [topic for topic in topics if topic in self._states]
        subscriber = _Subscriber(sink, known)
        self._subscribers.append(subscriber)
        on_disconnect(sink, lambda: self._drop(subscriber))
        self._wake(subscriber, [topic for topic in known if self._states[topic] is not None])
        return known

    def close(self) -> None:
        """Tell nobody any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for subscriber in list(self._subscribers):
            self._drop(subscriber)

    def _tell(self, topic: str) -> None:
        self._timers.pop(topic, None)
        self._told_at[topic] = asyncio.get_running_loop().time()
        for subscriber in self._subscribers:
            if topic in subscriber.topics:
                self._wake(subscriber, [topic])

    def _wake(self, subscriber: _Subscriber, topics: list[str]) -> None:
        subscriber.untold.update(dict.fromkeys(topics))
        if subscriber.untold and subscriber.task is None:
            subscriber.task = asyncio.get_running_loop().create_task(self._send(subscriber))

    async def _send(self, subscriber: _Subscriber) -> None:
        try:
            while subscriber.untold:
                topic = next(iter(subscriber.untold))
                del subscriber.untold[topic]
                await subscriber.sink.changed(topic, self._states[topic] or {})
        except (Disconnected, CallTimeout):
            self._drop(subscriber)
        except Exception:
            logger.exception("a subscriber failed and is dropped")
            self._drop(subscriber)
        finally:
            subscriber.task = None

    def _drop(self, subscriber: _Subscriber) -> None:
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        subscriber.untold.clear()
        if subscriber.task is not None and subscriber.task is not asyncio.current_task():
            subscriber.task.cancel()
