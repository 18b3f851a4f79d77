"""Delivery: passes the events published in one tick of the event loop to their streams.

The frames for one address in a tick are joined, and the bytes are shared by all of its streams. A hundred streams are
written to per tick, so that the event loop runs other tasks in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Final

from .streams import Streams
from .subscription import Subscription

SLICE: Final = 100
"""Streams that are written to in one tick."""


class Delivery:
    """The events that wait to be delivered. All methods must be called on the hub's event loop.

    Attributes:
        delivered: events handed to a stream, one for each stream.
    """

    def __init__(self, streams: Streams, backlog: int) -> None:
        self._streams = streams
        self._most = backlog // 2  # with more, the joined bytes would exceed the backlog even of a fast reader
        self._pending: dict[str, bytearray] = {}
        self._delivering: Iterator[tuple[Subscription, bytes, int]] | None = None
        self.delivered = 0

    def add(self, address: str, frames: bytes) -> None:
        """Deliver these frames at the end of this tick, or after earlier frames that still wait."""
        if not self._streams.has(address):
            return
        pending = self._pending.setdefault(address, bytearray())
        pending += frames
        if self._delivering is None:
            self._delivering = self._each()
            asyncio.get_running_loop().call_soon(self._deliver_slice)
        if len(pending) > self._most:
            self.flush()

    def flush(self) -> None:
        """Pass all waiting frames to their streams' backlogs. It writes nothing, so it may run in the publisher's
        task."""
        for stream, data, events in self._delivering or ():
            if stream._enqueue(data):
                self.delivered += events

    def clear(self) -> None:
        """Drop all waiting frames."""
        self._pending.clear()
        self._delivering = None

    def _deliver_slice(self) -> None:
        try:
            for stream, data, events in islice(self._delivering or (), SLICE):
                if stream._write_or_enqueue(data):
                    self.delivered += events
        finally:
            if self._delivering is not None:
                asyncio.get_running_loop().call_soon(self._deliver_slice)

    def _each(self) -> Iterator[tuple[Subscription, bytes, int]]:
        """Yields each stream, the joined bytes for it, and the number of events in them."""
        while self._pending:
            pending, self._pending = self._pending, {}
            for address, joined in pending.items():
                data = bytes(joined)
                events = data.count(b"\n\n")
                for stream in self._streams.at(address):
                    yield stream, data, events
        self._delivering = None
