"""A minimal model of a page with a badge and a list, which makes real requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import httpx

from notistore import Inbox, Recipient

ROWS: Final = 50

Shown: TypeAlias = tuple[int, list[tuple[str, bool]]]
"""A badge, and the ids of the newest rows with whether each is read."""


class Browser:
    """Applies the frames of its stream, and fetches only what a frame says is out of date.

    New and marked rows are taken from their frames without a request; only the empty frame makes it refetch its list.
    So a frame that is lost leaves the page wrong. It reconnects as an EventSource does: after `retry` milliseconds,
    with the last event id.

    Attributes:
        shown: what the page displays.
        connects: how often its stream has begun.
    """

    def __init__(self, client: httpx.AsyncClient, user: str, changed: asyncio.Condition) -> None:
        self.user = user
        self.connects = 0
        self._badge = -1
        self._items: dict[str, dict[str, Any]] = {}
        self._client = client
        self._headers = {"x-user": user}
        self._changed = changed
        self._begun = asyncio.Event()
        self._last_id: str | None = None
        self._retry = 0.1

    @property
    def shown(self) -> Shown:
        return self._badge, [(id, item["readAt"] is not None) for id, item in self._items.items()]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep the page open for the block, which begins once the stream has begun."""
        reconnecting = asyncio.create_task(self._reconnect())
        try:
            async with asyncio.timeout(60):
                await self._begun.wait()
            yield
        finally:
            reconnecting.cancel()
            await asyncio.gather(reconnecting, return_exceptions=True)

    async def _reconnect(self) -> None:
        while True:
            resumed = {} if self._last_id is None else {"last-event-id": self._last_id}
            try:
                async with self._client.stream(
                    "GET", "/notifications/stream", headers=self._headers | resumed, timeout=None
                ) as response:
                    response.raise_for_status()
                    self.connects += 1
                    await self._read_frames(response.aiter_lines())
            except httpx.HTTPError:
                pass  # the connection broke or was refused
            await asyncio.sleep(self._retry)

    async def _read_frames(self, lines: AsyncIterator[str]) -> None:
        fields: dict[str, str] = {}
        async for line in lines:
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
                continue
            self._last_id = fields.get("id", self._last_id)
            self._retry = int(fields.get("retry", self._retry * 1000)) / 1000
            if "event" in fields:
                await self._apply(fields["event"], json.loads(fields["data"] or "null"))
                async with self._changed:
                    self._changed.notify_all()
                self._begun.set()
            fields = {}

    async def _apply(self, event: str, data: Any) -> None:
        if event == "notification" and data is None:
            await self._fetch_list()
            await self._fetch_count()
        elif event == "notification" and "id" not in data:
            self._badge = data["count"]
            if not self._begun.is_set():
                await self._fetch_list()
        elif event == "notification":
            self._items[data["id"]] = data
            self._trim()
            await self._fetch_count()
        elif event == "read" and data["notificationId"] in self._items:
            self._items[data["notificationId"]]["readAt"] = data["readAt"]

    def _trim(self) -> None:
        newest = sorted(self._items.values(), key=lambda item: (item["createdAt"], item["id"]), reverse=True)
        self._items = {item["id"]: item for item in newest[:ROWS]}

    async def _fetch_list(self) -> None:
        page = await self._get(f"/notifications?limit={ROWS}")
        self._items = {item["id"]: item for item in page["items"]}

    async def _fetch_count(self) -> None:
        self._badge = (await self._get("/notifications/unread/count"))["count"]

    async def _get(self, path: str) -> Any:
        while True:  # retried if a server or its database was stopped meanwhile
            with suppress(httpx.TransportError):
                answer = await self._client.get(path, headers=self._headers, timeout=60)
                if answer.status_code != 503:
                    return answer.raise_for_status().json()
            await asyncio.sleep(0.1)


async def all_show(browsers: Sequence[Browser], changed: asyncio.Condition, inbox: Inbox) -> None:
    """Return once every page shows what is stored. Called after the last change."""
    right = {}
    for user in {browser.user for browser in browsers}:
        rows = await inbox.page(Recipient(user), limit=ROWS)
        unread = await inbox.unread_count(Recipient(user))
        right[user] = unread, [(row.id, row.read_at is not None) for row in rows]
    try:
        async with asyncio.timeout(60), changed:
            await changed.wait_for(lambda: all(browser.shown == right[browser.user] for browser in browsers))
    except TimeoutError:
        wrong = [(browser.user, browser.shown, right[browser.user]) for browser in browsers]
        raise AssertionError([each for each in wrong if each[1] != each[2]]) from None
