"""Opening a row: links, the event that a page's router takes in place of them, and who caused it."""

from __future__ import annotations

import pytest
from playwright.async_api import BrowserContext, Page, expect

from .application import ADA, Application
from .conftest import Bell

BELL = """<header style="display: flex; justify-content: end"><notistore-inbox></notistore-inbox></header>
<script>
  globalThis.opened = [];
  addEventListener("notistore:open", (event) => {
    opened.push([event.detail.item.data.title, event.detail.href]);
    if (globalThis.routed) event.preventDefault();
  });
</script>"""


@pytest.fixture
async def page(app_context: BrowserContext, app: Application) -> Page:
    return await app.open_page(app_context, BELL)


@pytest.fixture
async def bell(page: Page) -> Bell:
    return Bell(page)


async def test_a_row_with_a_link_follows_it_wherever_it_is_clicked(bell: Bell, app: Application) -> None:
    await app.inbox.send(ADA, "t", {"title": "Comment", "body": "On your plan", "link": "/?doc=1"})
    for part in (".title", ".body", "article"):
        await bell.open()
        box = await bell.rows.first.locator(part).bounding_box()
        assert box
        async with bell.page.expect_navigation(url="**/?doc=1"):
            await bell.page.mouse.click(box["x"] + 4, box["y"] + 4)
        await bell.page.goto(f"{app.served.url}/")
    assert (await app.inbox.page(ADA))[0].read_at is not None


async def test_enter_follows_the_rows_link_before_that_of_its_action(bell: Bell, app: Application) -> None:
    action = {"label": "Join", "url": "/?action"}
    await app.inbox.send(ADA, "t", {"title": "Only an action", "action": action})
    await app.inbox.send(ADA, "t", {"title": "Both", "link": "/?link", "action": action})
    for row, url in ((0, "**/?link"), (1, "**/?action")):
        await bell.open()
        async with bell.page.expect_navigation(url=url):
            await bell.articles.nth(row).press("Enter")


async def test_the_action_and_the_tools_of_a_row_with_a_link_are_above_it(bell: Bell, app: Application) -> None:
    action = {"label": "Join", "url": "/?action"}
    await app.inbox.send(ADA, "t", {"title": "Both", "link": "/?link", "action": action})
    await bell.open()
    await bell.rows.get_by_role("button", name="Mark as read").click()
    await expect(bell.unread).to_have_count(0)
    async with bell.page.expect_navigation(url="**/?action"):
        await bell.rows.get_by_role("link", name="Join").click()


async def test_a_router_takes_over_by_preventing_the_event(bell: Bell, app: Application) -> None:
    action = {"label": "Join", "url": "https://example.com/"}
    await app.inbox.send(ADA, "t", {"title": "Comment", "link": "/?doc=1", "action": action})
    await bell.page.evaluate("globalThis.routed = true")
    for open_it in (bell.rows.locator(".title").click, bell.rows.get_by_role("link", name="Join").click):
        await bell.open()
        await open_it()
        await expect(bell.panel).to_be_hidden()
    await bell.open()
    await bell.articles.first.press("Enter")
    await expect(bell.panel).to_be_hidden()
    here = app.served.url
    assert await bell.page.evaluate("opened") == [
        ["Comment", f"{here}/?doc=1"],
        ["Comment", "https://example.com/"],
        ["Comment", f"{here}/?doc=1"],
    ]
    assert bell.page.url == f"{here}/"
    await expect(bell.badge).to_be_hidden()


async def test_a_row_without_a_link_is_opened_too_and_the_panel_stays(bell: Bell, app: Application) -> None:
    await app.inbox.send(ADA, "t", {"title": "Plain"})
    await bell.open()
    await bell.rows.locator(".title").click()
    await expect(bell.unread).to_have_count(0)
    await expect(bell.panel).to_be_visible()
    await bell.articles.first.press("Enter")
    await bell.rows.get_by_role("button", name="Mark as unread").click()
    assert await bell.page.evaluate("opened") == [["Plain", None]] * 2


async def test_opening_a_link_in_a_new_tab_also_marks_the_row_read(bell: Bell, app: Application) -> None:
    for title in ("Middle", "Control"):
        await app.inbox.send(ADA, "t", {"title": title, "link": f"/?{title}"})
    await bell.open()
    await expect(bell.unread).to_have_count(2)
    async with bell.page.context.expect_page() as first:
        await bell.row("Control").locator(".title").click(modifiers=["Control"])
    async with bell.page.context.expect_page() as second:
        await bell.row("Middle").locator(".title").click(button="middle")
    assert [(await other.value).url for other in (first, second)] == [
        f"{app.served.url}/?Control",
        f"{app.served.url}/?Middle",
    ]
    await expect(bell.unread).to_have_count(0)
    assert await bell.page.evaluate("opened") == []


@pytest.mark.parametrize("link", ["javascript:ran=1", "data:text/html,x", "file:///etc/passwd", 7, {"url": "/"}, "  "])
async def test_only_a_web_address_makes_a_row_a_link(bell: Bell, app: Application, link: object) -> None:
    await app.inbox.send(ADA, "t", {"title": "Plain", "link": link, "actor": {"name": "Eve", "avatar": link}})
    await bell.open()
    await expect(bell.rows).to_have_count(1)
    assert await bell.element.locator("a[href], img[src]").count() == 0
    await bell.rows.locator(".title").click()
    assert await bell.page.evaluate("opened") == [["Plain", None]]


async def test_the_actor_is_named_and_shown(bell: Bell, app: Application) -> None:
    picture = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
    await bell.page.route("**/ada.svg", lambda route: route.fulfill(body=picture, content_type="image/svg+xml"))
    for data in (
        {"title": "Picture", "actor": {"name": "Ada Lovelace", "avatar": "/ada.svg"}},
        {"title": "Broken", "actor": {"name": "émilie", "avatar": "/gone.png"}},
        {"title": "Name", "actor": {"name": "Grace"}},
        {"title": "Nobody", "actor": {"name": 7.5, "avatar": None}},
        {"title": "Odd", "actor": ["Eve"]},
    ):
        await app.inbox.send(ADA, "t", data)
    await bell.open()
    shown = {title: bell.row(title) for title in ("Picture", "Broken", "Name", "Odd")}
    await expect(shown["Picture"].locator(".actor")).to_have_text("Ada Lovelace")
    await expect(shown["Picture"].locator("img")).to_be_visible()
    await expect(shown["Broken"].locator(".avatar")).to_have_text("É")
    await expect(shown["Broken"].locator("img")).to_have_count(0)
    await expect(shown["Name"].locator(".avatar")).to_have_text("G")
    await expect(shown["Odd"].locator(".avatar")).to_be_hidden()
    await expect(shown["Name"].get_by_role("article")).to_have_accessible_description("Grace now")
    assert await shown["Picture"].locator("img").get_attribute("referrerpolicy") == "no-referrer"
