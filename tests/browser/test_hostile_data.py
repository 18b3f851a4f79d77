"""A notification's content is shown as text: none of it is executed, becomes an unsafe link, or breaks the layout."""

from __future__ import annotations

import pytest
from playwright.async_api import Dialog, FloatRect, Locator, expect

from .conftest import Bell, Inbox

MARKUP = "<script>globalThis.ran = 1</script><img src=x onerror='globalThis.ran = 1; alert(1)'>"
UNSAFE_URLS = [
    "javascript:globalThis.ran=1",
    "JaVaScRiPt:globalThis.ran=1",
    "\u0001 java\n\tscript:globalThis.ran=1",
    "data:text/html,<script>opener.ran=1</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:http://127.0.0.1/x",
    "http://",
]
UNICODE = {
    "right-to-left override": "\u202eevil gnp.exe",
    "joined emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 👨🏽‍💻",
    "line separators": "One\u2028two\u2029three",
    "looks like a frame": 'data: {"count": 999}\n\nevent: read',
    "stacked marks": "Z" + "\u0337\u0321\u0352" * 300,
    "closes its element": '"></title></article></notistore-inbox>' + MARKUP,
}


@pytest.fixture
async def page_errors(bell: Bell) -> list[str]:  # async, for Playwright listens on the current event loop
    """Dialogs, JavaScript errors, new pages and navigations that occur during a test."""
    seen: list[str] = []

    async def on_dialog(dialog: Dialog) -> None:
        seen.append(f"dialog {dialog.message}")
        await dialog.dismiss()

    bell.page.on("dialog", on_dialog)
    bell.page.on("pageerror", lambda error: seen.append(f"error {error}"))
    bell.page.on("popup", lambda popup: seen.append(f"popup {popup.url}"))
    bell.page.on("framenavigated", lambda frame: seen.append(f"navigated to {frame.url}"))
    return seen


async def test_markup_stays_text(bell: Bell, inbox: Inbox, page_errors: list[str]) -> None:
    await inbox.send(MARKUP, body=MARKUP, type="<b>type</b>", actionLabel=MARKUP, actionUrl=f"/?q={MARKUP}")
    await bell.open()
    row = bell.rows.first
    await expect(row.locator(".title")).to_have_text(MARKUP)
    await expect(row.locator(".body")).to_have_text(MARKUP)
    await expect(row.get_by_role("link")).to_have_text(MARKUP)
    await expect(bell.element.locator(".live")).to_contain_text("<script>")
    assert await row.locator("script, img").count() == 0
    assert await bell.page.evaluate("globalThis.ran === undefined")
    assert page_errors == []


async def test_unsafe_urls_do_not_become_links(bell: Bell, inbox: Inbox, page_errors: list[str]) -> None:
    for address in UNSAFE_URLS:
        await inbox.send("Click it", actionLabel="Label", actionUrl=address)
    await bell.open()
    labels = bell.rows.get_by_text("Label")
    await expect(labels).to_have_count(len(UNSAFE_URLS))
    assert await bell.element.locator("a[href]").count() == 0
    for number in range(len(UNSAFE_URLS)):
        await labels.nth(number).click()
        await bell.articles.nth(number).press("Enter")
    await expect(bell.unread).to_have_count(0)
    assert await bell.page.evaluate("globalThis.ran === undefined")
    assert page_errors == []


async def test_web_and_relative_urls_become_links(bell: Bell, inbox: Inbox) -> None:
    for address in ("https://example.com/a?b=c#d", "/relative", "//example.com/x"):
        await inbox.send(address, actionUrl=address)
    await bell.open()
    links = bell.rows.get_by_role("link", name="Open")
    await expect(links).to_have_count(3)
    base = bell.page.url.split("/#")[0]
    wanted = ["http://example.com/x", f"{base}/relative", "https://example.com/a?b=c#d"]
    assert await links.evaluate_all("links => links.map((link) => link.href)") == wanted
    assert await links.evaluate_all("links => links.every((link) => link.rel === 'noopener noreferrer')")


async def test_ten_thousand_characters_keep_the_row_small(bell: Bell, inbox: Inbox) -> None:
    long = "endless" * 1429
    await inbox.send(long, body=long, actionLabel=long, actionUrl="/")
    await inbox.send("Short")
    await bell.open()
    await expect(bell.rows).to_have_count(2)
    row = await box_of(bell.rows.nth(1))
    assert row["width"] <= (await box_of(bell.panel))["width"]
    assert row["height"] < 200
    assert await bell.element.locator(".scroll").evaluate("(box) => box.scrollWidth <= box.clientWidth")
    await expect(bell.rows.nth(1).locator("time")).to_be_in_viewport()


async def test_unicode_arrives_as_it_was_and_stays_in_its_row(bell: Bell, inbox: Inbox, page_errors: list[str]) -> None:
    await bell.open()
    for text in UNICODE.values():
        await inbox.send(text, body=text)
    await expect(bell.rows).to_have_count(len(UNICODE))
    panel = await box_of(bell.panel)
    for number, (name, text) in enumerate(reversed(UNICODE.items())):
        row = bell.rows.nth(number)
        assert await row.locator(".title").text_content() == text, name
        assert await row.locator(".body").text_content() == text, name
        assert (await box_of(row))["height"] < 200, name
        time = await box_of(row.locator("time"))
        assert time["x"] > panel["x"] + panel["width"] / 2, f"{name}: it has turned what is beside it around"
    await expect(bell.badge).to_have_text(str(len(UNICODE)))
    assert page_errors == []


async def box_of(part: Locator) -> FloatRect:
    box = await part.bounding_box()
    assert box
    return box


async def test_data_of_any_shape_is_shown_without_an_error(bell: Bell, inbox: Inbox, page_errors: list[str]) -> None:
    """The demo's form sends only strings, so the other shapes come from a mocked list response."""
    shapes = [
        {"title": {"toString": 1}, "action": "text"},
        {"title": ["a"], "action": {"label": {}, "url": {}}},
        {"count": 500, "progress": "50"},
        {"title": 7, "progress": -5, "action": None},
        {"title": " ", "progress": 1e9, "action": [1]},
        {"title": None, "subject": "Its subject", "__proto__": {"title": "x"}},
    ]
    await inbox.send("Template")
    [template] = await inbox.items()
    items = [{**template, "id": f"{template['id'][:-1]}{n}", "data": data} for n, data in enumerate(shapes)]
    await bell.page.route(f"**{inbox.path}?*", lambda route: route.fulfill(json={"items": items, "next": None}))
    await bell.open()
    titles = ["Its subject", "message", "7", "message", "message", "message"]
    await expect(bell.rows.locator(".title")).to_have_text(titles)
    values = await bell.rows.get_by_role("progressbar").evaluate_all("all => all.map((bar) => bar.ariaValueNow)")
    assert values == ["100", "0"]
    await expect(bell.badge).to_have_text("1")
    assert page_errors == []
