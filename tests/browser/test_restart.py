"""The server is killed and restarted: the bell shows that it is offline, and recovers by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import BrowserContext, expect

from .conftest import Bell, Demo, Inbox


@pytest.fixture
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """A server of this test's own, to be killed."""
    demo = Demo(tmp_path_factory.mktemp("restarted") / "demo.db")
    await demo.start()
    yield demo
    await demo.kill()


async def test_it_survives_a_server_that_is_killed_and_started_again(
    demo: Demo, context: BrowserContext, bell: Bell, inbox: Inbox
) -> None:
    await inbox.send("Before")
    await bell.open()
    await expect(bell.rows).to_have_count(1)

    await demo.kill()
    await expect(bell.notice).to_have_text("You’re offline. Reconnecting…")
    await expect(bell.button).to_have_accessible_name("Notifications, 1 unread, offline")
    await expect(bell.row("Before")).to_be_visible()
    await bell.rows.first.get_by_role("button", name="Delete").click()
    await expect(bell.row("Before")).to_be_visible()

    await demo.start()
    await inbox.send("Meanwhile")
    await expect(bell.notice).not_to_have_text("You’re offline. Reconnecting…")
    await expect(bell.rows.locator(".title")).to_have_text(["Meanwhile", "Before"])
    await expect(bell.badge).to_have_text("2")
    await inbox.send("After")
    await expect(bell.rows.locator(".title")).to_have_text(["After", "Meanwhile", "Before"])
    await expect(bell.badge).to_have_text("3")
