"""@dudousxd/nestjs-notifications-react: its `<Inbox/>` in a real Chromium."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Mount, Route

from notistore import Inbox, Recipient, SseHub
from notistore.web import inbox_app

from ..browser.conftest import Browser, Page, browser, chromium, expect  # noqa: F401
from ..web.served import Served
from .conftest import user_of

PAGE = "<!doctype html><title>App</title><div id=root style='float: right'></div><script src=/app.js></script>"


@pytest.fixture(scope="session")
def bundle(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("bundle") / "app.js"
    options = ["--bundle", "--jsx=automatic", "--define:process.env.NODE_ENV='production'", f"--outfile={built}"]
    subprocess.run(
        [packages / "node_modules/.bin/esbuild", "inbox.jsx", *options, "--log-level=warning"],
        cwd=packages,
        check=True,
        timeout=60,
    )
    return built


@pytest.fixture
def hub() -> SseHub:
    return SseHub(lifetime=None)


@pytest.fixture
async def page(browser: Browser, server: Served, bundle: Path, inbox: Inbox) -> AsyncIterator[Page]:  # noqa: F811
    """An application's page with the widget in it, its stream open and its list loaded."""

    async def html(request: Request) -> HTMLResponse:
        return HTMLResponse(PAGE)

    async def script(request: Request) -> FileResponse:
        return FileResponse(bundle)

    api = Mount("/api", inbox_app(inbox, user_of))
    server.app = Starlette(routes=[Route("/", html), Route("/app.js", script), api])
    context = await browser.new_context(base_url=server.url)
    await context.add_cookies([{"name": "user", "value": "42", "url": server.url}])
    page = await context.new_page()
    errors: list[object] = []
    page.on("pageerror", lambda error: errors.append(error))
    # The widget fetches no second list while its first is pending, so a send at that time would be missing from it.
    listed = page.expect_event("requestfinished", lambda request: "page=1" in request.url)
    async with page.expect_response(lambda response: response.url.endswith("/stream")), listed:
        await page.goto("/", wait_until="commit")
    yield page
    await context.close()
    await server.idle()
    assert errors == []


async def expect_badge(page: Page, unread: int) -> None:
    label = f"Notifications, {unread} unread" if unread else "Notifications"
    await expect(page.get_by_role("button", name=label, exact=True)).to_be_visible()


async def test_its_badge_moves_with_what_happens_elsewhere(page: Page, inbox: Inbox, user: Recipient) -> None:
    await expect_badge(page, 0)
    first = await inbox.send(user, "t")
    await expect_badge(page, 1)
    await inbox.send(user, "t", {"count": 99})
    await expect_badge(page, 2)
    await inbox.send(Recipient("43"), "t")
    await inbox.mark_read(user, first.id)
    await expect_badge(page, 1)
    await inbox.mark_unread(user, first.id)
    await expect_badge(page, 2)
    await inbox.delete(user, first.id)
    await expect_badge(page, 1)
    await inbox.mark_all_read(user)
    await expect_badge(page, 0)


async def test_it_shows_title_progress_and_action(page: Page, inbox: Inbox, user: Recipient) -> None:
    await inbox.send(
        user,
        "export.progress",
        {"title": "Export", "body": "Half way", "progress": 50, "action": {"label": "Download", "url": "/files/9"}},
        key="export:9",
    )
    await inbox.send(user, "plain")
    await page.get_by_role("button", name="Notifications, 2 unread").click()
    rows = page.get_by_role("listitem")
    await expect(rows).to_have_count(2)
    await expect(rows.filter(has_text="plain")).to_be_visible()  # without a title its type stands in
    export = rows.filter(has_text="Export")
    await expect(export).to_contain_text("Half way")
    await expect(export.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    await expect(export.get_by_role("link", name="Download")).to_have_attribute("href", "/files/9")


async def test_a_click_marks_one_read_and_a_button_all(page: Page, inbox: Inbox, user: Recipient) -> None:
    clicked, other = [await inbox.send(user, "t", {"title": title}) for title in ("Clicked", "Other")]
    await page.get_by_role("button", name="Notifications, 2 unread").click()
    async with page.expect_response(lambda response: response.url.endswith(f"{clicked.id}/read")) as answered:
        await page.get_by_role("button", name="Clicked").click()
    assert (await answered.value).status == 204
    assert [row.id for row in await inbox.page(user, unread_only=True)] == [other.id]
    await expect_badge(page, 1)

    await page.get_by_role("button", name="Mark all read").click()
    await expect_badge(page, 0)
    assert await inbox.unread_count(user) == 0


async def test_more_than_a_page_is_loaded_on_demand(page: Page, inbox: Inbox, user: Recipient) -> None:
    for n in range(25):
        await inbox.send(user, "t", {"title": f"number {n}"})
    await page.get_by_role("button", name="Notifications, 25 unread").click()
    await page.get_by_role("button", name="Load more").click()
    await expect(page.get_by_role("listitem")).to_have_count(25)
    await expect(page.get_by_role("listitem").last).to_contain_text("number 0")


class TestAfterAReconnect:
    @pytest.fixture
    def hub(self) -> SseHub:
        return SseHub(lifetime=0.5)

    async def test_its_badge_is_right_at_once(self, page: Page, inbox: Inbox, user: Recipient) -> None:
        await expect_badge(page, 0)
        await inbox.send(user, "t", publish=False)  # as if it had been sent while the stream was down
        await expect_badge(page, 1)
