"""CatchUp: sends streams that may have missed events their current count and a refetch, at a limited rate."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

from .._log_throttle import LogThrottle
from ..model import Recipient
from .delivery import Delivery
from .events import REFETCH, Event
from .streams import EVERYONE, Streams, key_of

__all__ = ["CatchUp", "CountsUnread"]

_log = logging.getLogger("notistore.hub")

_COUNT_BATCH: Final = 100  # recipients counted in one query
_COUNT_TIMEOUT: Final = 10.0  # seconds for one query, since all other streams wait for it
_PACE: Final = 0.001  # seconds per recipient: half of the documented 1 ms, since the queries take time too


class CountsUnread(Protocol):
    """Something that counts the unread notifications of many recipients: an `Inbox`."""

    async def unread_counts(self, recipients: Iterable[Recipient], /) -> Mapping[Recipient, int]: ...


class CatchUp:
    """All methods belong to the hub's event loop.

    Attributes:
        gaps: how often messages may have been missed by every stream.
    """

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._waiting: dict[Recipient, CountsUnread | None] = {}
        self._task: asyncio.Task[None] | None = None
        self._failing = LogThrottle()
        self.gaps = 0

    def after_gap(self, delivery: Delivery) -> None:
        """Messages to any stream may have been missed: send every stream its current count."""
        self.gaps += 1
        self.start(delivery, EVERYONE)

    def start(self, delivery: Delivery, address: str) -> None:
        """Send the streams of this address their current count; only one to a recipient that is already waiting."""
        self._waiting |= {stream.recipient: stream.counter for stream in self._streams.one_each(address)}
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(delivery))

    def stop(self) -> None:
        if self._task is not None and not self._task.get_loop().is_closed():
            self._task.cancel()
        self._task = None
        self._waiting.clear()

    async def _run(self, delivery: Delivery) -> None:
        while batch := self._next_batch():
            by_counter: defaultdict[CountsUnread | None, list[Recipient]] = defaultdict(list)
            for recipient, counter in batch.items():
                by_counter[counter].append(recipient)
            for counter, recipients in by_counter.items():
                counts = await self._count(counter, recipients)
                for recipient in recipients:
                    frames = REFETCH.encode()
                    if recipient in counts:
                        frames = Event.count(counts[recipient]).encode() + frames
                    delivery.add(key_of(recipient), frames)
            await asyncio.sleep(len(batch) * _PACE)

    def _next_batch(self) -> dict[Recipient, CountsUnread | None]:
        recipients = list(islice(self._waiting, _COUNT_BATCH))
        return {recipient: self._waiting.pop(recipient) for recipient in recipients}

    async def _count(self, counter: CountsUnread | None, recipients: Sequence[Recipient]) -> Mapping[Recipient, int]:
        try:
            async with asyncio.timeout(_COUNT_TIMEOUT):
                return {} if counter is None else await counter.unread_counts(recipients)
        except Exception:
            self._failing.log(
                _log.exception,
                "the unread counts of %d recipients could not be read: their streams refetch without one",
                len(recipients),
            )
            return {}
