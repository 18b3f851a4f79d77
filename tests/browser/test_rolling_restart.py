"""A rolling restart behind a load balancer, seen from a page that stays open: the bell recovers by itself."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from notistore import Inbox, Recipient

from .conftest import Bell

pytest.importorskip("redis")
pytest.importorskip("aiosqlite")

from notistore_sqlalchemy import open_store

from ..backplane.conftest import prefix
from ..backplane.deploy import Deployment

PAGE = """<!doctype html><title>test</title><script type="module" src="/notifications/notistore-inbox.js"></script>
<notistore-inbox></notistore-inbox>"""


async def test_the_bell_is_right_after_both_servers_were_restarted(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    database = f"sqlite+aiosqlite:///{tmp_path}/inbox.db"
    async with (
        open_store(database) as store,
        Deployment(("redis", redis_url, prefix()), database) as deployment,
        await browser.new_context(base_url=deployment.url, extra_http_headers={"x-user": "ada"}) as context,
    ):
        page = await context.new_page()
        await page.route("**/page", lambda route: route.fulfill(content_type="text/html", body=PAGE))
        await page.goto("/page")
        page.set_default_timeout(30_000)
        bell = Bell(page)
        await bell.open()
        async with deployment.sending(["ada"]) as sender:
            await expect(bell.rows).not_to_have_count(0)
            await deployment.restart(0, signal.SIGTERM)
            await deployment.restart(1, signal.SIGTERM)
            await sender.stop_using_servers()
            await deployment.restart(0, signal.SIGKILL)
            acknowledged = (await sender.stop())["ada"]
        ada = Recipient("ada")
        stored = await store.page(ada, limit=10_000)
        assert {row.id for row in stored} >= set(acknowledged)
        unread = await Inbox(store).unread_count(ada)
        await expect(bell.badge).to_have_text(str(unread) if unread < 100 else "99+", timeout=20_000)
        await expect(bell.notice).not_to_have_text("You’re offline. Reconnecting…")

        async def shown() -> list[list[object]]:
            rows = "rows => rows.map(row => [row.dataset.id, !row.classList.contains('unread')])"
            return await bell.rows.evaluate_all(rows)

        async with asyncio.timeout(60):
            while (now := await shown()) != [[row.id, row.read_at is not None] for row in stored[: len(now)]]:
                await page.wait_for_timeout(200)
        assert len(now) >= 20
