"""A browser's page with a badge: an EventSource, and a count that is fetched when the stream says that it changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from .http import NoResponse, read_head, request, sent

REFETCH_AFTER: Final = 1.0  # seconds until a page requests a count again that was refused


class Page:
    """One user's page. It reconnects as an EventSource does: after `retry` milliseconds, with the last id.

    Args:
        address: the server's.
        user: whose page it is.
        changed: called when the badge changes.

    Attributes:
        badge: its current value; None before the first count.
        right_since: the event loop's time at which the badge got its current value.
        connects: how often its stream has begun.
        refused: statuses other than 200 that its stream was answered with; each ends a browser's EventSource.
    """

    def __init__(self, address: str, user: str, changed: Callable[[], Awaitable[None]]) -> None:
        self.user = user
        self.badge: int | None = None
        self.right_since = 0.0
        self.connects = 0
        self.refused: list[int] = []
        self.connected = asyncio.Event()
        self._address = address
        self._headers = {"x-user": user}
        self._changed = changed
        self._last_id: str | None = None
        self._retry = 1.0
        self._stale = asyncio.Event()

    async def stay_open(self) -> None:
        """Read the stream and fetch counts until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stream())
            tasks.create_task(self._count())

    async def _stream(self) -> None:
        while True:
            with suppress(OSError, EOFError, ValueError):  # the connection broke or was refused
                await self._read()
            await asyncio.sleep(self._retry)

    async def _read(self) -> None:
        resumed = {"last-event-id": self._last_id} if self._last_id else {}
        async with sent(self._address, "GET", "/notifications/stream", self._headers | resumed) as reader:
            status, _ = await read_head(reader)
            if status != 200:
                self.refused.append(status)
                return
            self.connects += 1
            text = b""
            while size := int(await reader.readline(), 16):  # the size of a chunk
                text += (await reader.readexactly(size + 2))[:-2]
                *frames, text = text.split(b"\n\n")
                for frame in frames:
                    await self._apply(dict(_fields(frame)))

    async def _apply(self, fields: dict[str, str]) -> None:
        self._last_id = fields.get("id", self._last_id)
        if "retry" in fields:
            self._retry = int(fields["retry"]) / 1000
        if fields.get("event") != "notification":
            return
        data = json.loads(fields["data"] or "null")
        if data is not None and "id" not in data:
            await self._show(data["count"])
            self.connected.set()
        else:
            self._stale.set()

    async def _count(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                answer = await request(self._address, "GET", "/notifications/unread/count", self._headers)
            except NoResponse:
                answer = None
            if answer is not None and answer.status == 200:
                await self._show(json.loads(answer.text)["count"])
            else:
                await asyncio.sleep(REFETCH_AFTER)
                self._stale.set()

    async def _show(self, badge: int) -> None:
        if badge != self.badge:
            self.badge, self.right_since = badge, asyncio.get_running_loop().time()
            await self._changed()


def _fields(frame: bytes) -> list[tuple[str, str]]:
    lines = [line.partition(":") for line in frame.decode().split("\n") if line and not line.startswith(":")]
    return [(name, value.removeprefix(" ")) for name, _, value in lines]
