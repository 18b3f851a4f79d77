"""A deploy: two servers behind a balancer are restarted in turn while sends go on, and no page stays wrong."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import httpx
import pytest

from notistore import Inbox, Recipient

from .browsers import Browser, all_show
from .conftest import Service
from .deploy import Deploy

pytest.importorskip("aiosqlite")

from notistore_sqlalchemy import SQLAlchemyStore

USERS = ["ada", "grace", "edsger"]


@pytest.mark.parametrize("service", ["redis", "postgres"], indirect=True)
async def test_a_rolling_restart_leaves_no_page_wrong_and_loses_no_send(
    service: Service, database: str, store: SQLAlchemyStore
) -> None:
    """Each server is told to end, and one is killed besides; every page has to find its way to another."""
    changed = asyncio.Condition()
    async with AsyncExitStack() as stack:
        deploy = await stack.enter_async_context(Deploy(service.parts, database))
        client = httpx.AsyncClient(base_url=deploy.url, limits=httpx.Limits(max_connections=None))
        await stack.enter_async_context(client)
        browsers = [Browser(client, user, changed) for user in USERS for _ in range(3)]
        for browser in browsers:
            await stack.enter_async_context(browser.open())
        sender = await stack.enter_async_context(deploy.sending(USERS))

        await deploy.restart(0, signal.SIGTERM)
        await deploy.restart(1, signal.SIGTERM)
        # What a server has stored and not yet published dies with it, and is for the streams' lifetime to heal.
        await sender.leave_the_servers_alone()
        await deploy.restart(0, signal.SIGKILL)

        acknowledged = await sender.stop()
        await all_show(browsers, changed, Inbox(store))
        for user in USERS:
            kept = {row.id for row in await store.page(Recipient(user), limit=10_000)}
            assert len(acknowledged[user]) > 5, "hardly anything was sent meanwhile"
            assert set(acknowledged[user]) <= kept
    assert min(browser.connects for browser in browsers) > 1
