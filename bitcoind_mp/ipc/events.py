"""The one implementation of `interfaces.events.Events`: topics, each with its newest state, told to subscribers."""

from typing import Any

from bitcoind_mp.interfaces.events import Events, EventSink


class Publisher(Events):
    """Topics with their newest state. ``publish`` may be called as often as one likes: what is told is coalesced
    to one notification each ``interval`` seconds and topic, the newest state alone."""

    def __init__(self, topics: list[str], *, interval: float = 0.25) -> None:
        raise NotImplementedError

    def publish(self, topic: str, state: dict[str, Any]) -> None:
        """The topic's state is this now. Nothing is sent where it equals the one told last."""
        raise NotImplementedError

    async def subscribe(self, topics: list[str], sink: EventSink) -> list[str]:
        raise NotImplementedError

    def close(self) -> None:
        """Tell nobody any more."""
        raise NotImplementedError
