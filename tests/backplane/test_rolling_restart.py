"""A deployment: two servers behind a balancer are restarted in turn while sends go on, and no page stays wrong."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import httpx
import pytest

from notistore import Inbox, Recipient

from .browsers import Browser, all_show
from .conftest import Service
from .deploy import Deployment

pytest.importorskip("aiosqlite")

from notistore_sqlalchemy import SQLAlchemyStore

USERS = ["ada", "grace", "edsger"]


@pytest.mark.parametrize("service", ["redis", "postgres"], indirect=True)
async def test_a_rolling_restart_leaves_no_page_wrong_and_loses_no_send(
    service: Service, database: str, store: SQLAlchemyStore
) -> None:
    """Each server gets a SIGTERM, and one is also killed; every page has to reconnect to another server."""
    changed = asyncio.Condition()
    async with AsyncExitStack() as stack:
        deployment = await stack.enter_async_context(Deployment(service.parts, database))
        client = httpx.AsyncClient(base_url=deployment.url, limits=httpx.Limits(max_connections=None))
        await stack.enter_async_context(client)
        browsers = [Browser(client, user, changed) for user in USERS for _ in range(3)]
        for browser in browsers:
            await stack.enter_async_context(browser.open())
        sender = await stack.enter_async_context(deployment.sending(USERS))

        await deployment.restart(0, signal.SIGTERM)
        await deployment.restart(1, signal.SIGTERM)
        # What a killed server has stored and not published reaches a page when its stream's lifetime ends.
        await sender.stop_using_servers()
        await deployment.restart(0, signal.SIGKILL)

        acknowledged = await sender.stop()
        await all_show(browsers, changed, Inbox(store))
        for user in USERS:
            kept = {row.id for row in await store.page(Recipient(user), limit=10_000)}
            assert len(acknowledged[user]) > 5, "hardly anything was sent meanwhile"
            assert set(acknowledged[user]) <= kept
    assert min(browser.connects for browser in browsers) > 1
