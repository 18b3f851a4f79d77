"""docs/element.md: its recipes run as they are, its lists are complete, and a strict CSP is enough."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import BrowserContext, expect

from notistore.web._element import read_element

from .application import ADA, ELEMENT, Application
from .conftest import Bell

DOCS = (Path(__file__).parents[2] / "docs" / "element.md").read_text(encoding="utf-8")
BELL = "<notistore-inbox></notistore-inbox>"


def recipe(heading: str) -> str:
    [code] = re.findall(rf"^#+ {heading}\n.*?^```js\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)[:1]
    return f"<script type=module>{code}</script>"


async def test_a_toast_shows_news_while_the_panel_is_closed(app_context: BrowserContext, app: Application) -> None:
    page = await app.open_page(app_context, BELL + recipe("A toast"))
    await app.connected()
    await app.inbox.send(ADA, "t", {"title": "<b>News</b>"})
    await expect(page.locator(".toast")).to_have_text("<b>News</b>")
    await Bell(page).open()
    await app.inbox.send(ADA, "t", {"title": "Seen in the panel"})
    await expect(Bell(page).rows).to_have_count(2)
    await expect(page.locator(".toast", has_text="Seen")).to_have_count(0)


async def test_the_title_counts(app_context: BrowserContext, app: Application) -> None:
    page = await app.open_page(app_context, BELL + recipe("The count in the title"))
    row = await app.inbox.send(ADA, "t")
    await expect(page).to_have_title("(1) Page")
    await app.inbox.mark_read(ADA, row.id)
    await expect(page).to_have_title("Page")


async def test_a_sound_is_played_for_news(app_context: BrowserContext, app: Application) -> None:
    play = """<script>
        globalThis.played = [];
        HTMLMediaElement.prototype.play = async function () { played.push(this.src); };
    </script>"""
    page = await app.open_page(app_context, BELL + play + recipe("A sound"))
    await app.connected()
    await app.inbox.send(ADA, "t")
    await page.wait_for_function("played.length")
    assert await page.evaluate("played") == [f"{app.served.url}/ding.mp3"]


async def test_a_router_takes_links_of_its_own_site_and_no_others(
    app_context: BrowserContext, app: Application
) -> None:
    router = "<script>globalThis.router = { push: (href) => (document.title = href) };</script>"
    page = await app.open_page(app_context, BELL + router + recipe("Events"))
    bell = Bell(page)
    await app.inbox.send(ADA, "t", {"title": "Elsewhere", "link": "http://elsewhere.example/"})
    await app.inbox.send(ADA, "t", {"title": "Inside", "link": "/plans/7"})
    await bell.open()
    await bell.row("Inside").locator(".title").click()
    await expect(page).to_have_title(f"{app.served.url}/plans/7")
    await page.route("http://elsewhere.example/", lambda route: route.fulfill(body="There"))
    await bell.open()
    await bell.row("Elsewhere").locator(".title").click()
    await expect(page.get_by_text("There")).to_be_visible()


async def test_a_strict_policy_is_kept(app_context: BrowserContext, app: Application) -> None:
    complaints: list[str] = []
    app_context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    policy = """<meta http-equiv="Content-Security-Policy" content="default-src 'self'">"""
    bell = Bell(await app.open_page(app_context, BELL, head=policy + ELEMENT))
    await app.inbox.send(ADA, "t", {"title": "A bar", "progress": 60, "actor": {"name": "Ada"}})
    await bell.open()
    bar = await bell.rows.locator(".bar").bounding_box()
    track = await bell.rows.locator(".progress").bounding_box()
    assert bar
    assert track
    assert 0.5 < bar["width"] / track["width"] < 0.7
    assert complaints == []


def test_every_part_custom_property_event_and_slot_is_on_the_page() -> None:
    script = read_element().decode()
    parts = set(re.findall(r'\bh\(\s*"\w+", "([\w -]+)"', script))
    named = {name for part in parts for name in part.split()} | {"unread"}
    [listed] = re.findall(r"^Parts, for `::part\(\)`: (.*?)\n\n", DOCS, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", listed)) == named - {"live"}
    assert set(re.findall(r"--notistore-[\w-]+", script)) <= set(re.findall(r"--notistore-[\w-]+", DOCS))
    assert {f"`notistore:{name}`" for name in re.findall(r'#dispatch\("([\w-]+)"', script)} <= set(
        re.findall(r"`notistore:[\w-]+`", DOCS)
    )
    assert set(re.findall(r'h\("slot", "", { name: "(\w+)"', script)) == {"bell", "empty", "footer"}
