"""A page with a badge and a list, as much of it as these tests need: real requests, and what a page makes of them."""

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
    """Shows what its stream gives it, and fetches only what the stream says is out of date.

    Rows that land or are marked are shown as their frames tell, without a look at the server; the empty frame alone
    makes it refetch its list. So what a stream leaves out stays wrong on the page. It reconnects as an EventSource
    does: after `retry` milliseconds, with the last id.

    Attributes:
        shown: what is on the page.
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
        """Its page is open: its stream has begun by the beginning of the block."""
        staying = asyncio.create_task(self._stay())
        try:
            async with asyncio.timeout(20):
                await self._begun.wait()
            yield
        finally:
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)

    async def _stay(self) -> None:
        while True:
            resumed = {} if self._last_id is None else {"last-event-id": self._last_id}
            try:
                async with self._client.stream(
                    "GET", "/notifications/stream", headers=self._headers | resumed, timeout=None
                ) as response:
                    response.raise_for_status()
                    self.connects += 1
                    await self._show(response.aiter_lines())
            except httpx.HTTPError:
                pass  # it broke, or there was nobody
            await asyncio.sleep(self._retry)

    async def _show(self, lines: AsyncIterator[str]) -> None:
        fields: dict[str, str] = {}
        async for line in lines:
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
                continue
            self._last_id = fields.get("id", self._last_id)
            self._retry = int(fields.get("retry", self._retry * 1000)) / 1000
            if "event" in fields:
                await self._take(fields["event"], json.loads(fields["data"] or "null"))
                async with self._changed:
                    self._changed.notify_all()
                self._begun.set()
            fields = {}

    async def _take(self, event: str, data: Any) -> None:
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
        while True:  # a page asks again where a server ended meanwhile, or its database did
            with suppress(httpx.TransportError):
                answer = await self._client.get(path, headers=self._headers, timeout=20)
                if answer.status_code != 503:
                    return answer.raise_for_status().json()
            await asyncio.sleep(0.1)


async def all_show(browsers: Sequence[Browser], changed: asyncio.Condition, inbox: Inbox) -> None:
    """Return once every page shows what is stored, by now for good."""
    right = {}
    for user in {browser.user for browser in browsers}:
        rows = await inbox.page(Recipient(user), limit=ROWS)
        unread = await inbox.unread_count(Recipient(user))
        right[user] = unread, [(row.id, row.read_at is not None) for row in rows]
    try:
        async with asyncio.timeout(15), changed:
            await changed.wait_for(lambda: all(browser.shown == right[browser.user] for browser in browsers))
    except TimeoutError:
        wrong = [(browser.user, browser.shown, right[browser.user]) for browser in browsers]
        raise AssertionError([each for each in wrong if each[1] != each[2]]) from None
