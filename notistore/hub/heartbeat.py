"""Heartbeat: one timer for all streams of a hub, which sends comments to idle streams and ends those past their
lifetime."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Final

from .delivery import SLICE
from .events import HEARTBEAT
from .streams import Streams
from .subscription import Subscription

_INTERVAL: Final = 15.0  # seconds between checks of the streams' lifetimes if heartbeats are off


class Heartbeat:
    """The timer runs while streams are open. All methods must be called on the hub's event loop."""

    def __init__(self, streams: Streams, *, interval: float | None, lifetime: float | None) -> None:
        self._streams = streams
        self._comment = HEARTBEAT if interval is not None else None
        self._interval = min(interval or _INTERVAL, lifetime or _INTERVAL)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer, unless it is running."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._send_heartbeats)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_heartbeats(self) -> None:
        self._timer = None
        if self._streams:
            self.start()
            self._send_slice(iter(tuple(self._streams)))

    def _send_slice(self, streams: Iterator[Subscription]) -> None:
        loop = asyncio.get_running_loop()
        now, more = loop.time(), False
        for stream in islice(streams, SLICE):
            stream._heartbeat(now, self._comment)
            more = True
        if more:
            loop.call_soon(self._send_slice, streams)
