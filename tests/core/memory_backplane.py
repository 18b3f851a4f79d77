"""MemoryBackplane: the backplane interface without a server, which records every call."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from notistore.hub.backplane import Missed, Receive


class MemoryBackplane:
    """Carries messages between the hubs of one process that share it.

    Attributes:
        subscribed: how many keys each call of `subscribe` was for.
        unsubscribed: the same of `unsubscribe`.
        published: how many messages each call of `publish` had.
    """

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.subscribed: list[int] = []
        self.unsubscribed: list[int] = []
        self.published: list[int] = []

    async def open(self, receive: Receive, missed: Missed) -> None:
        self.receive, self.missed = receive, missed

    async def subscribe(self, keys: Collection[str]) -> None:
        self.subscribed.append(len(keys))
        self.keys.update(keys)

    async def unsubscribe(self, keys: Collection[str]) -> None:
        self.unsubscribed.append(len(keys))
        self.keys.difference_update(keys)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self.published.append(len(messages))
        for key, message in messages:
            if key in self.keys:
                self.receive(key, message)

    async def close(self) -> None:
        pass
