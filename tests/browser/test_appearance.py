"""Layout in light, dark, right to left, forced colours and on a phone, with screenshots in build/screenshots.

axe-core must find nothing in any of them.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, FloatRect, Locator, Page, expect

from notistore import Inbox

from .application import ADA, Application
from .conftest import Bell

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
DESKTOP: dict[str, Any] = {"viewport": {"width": 480, "height": 600}}
PHONE = {"viewport": {"width": 375, "height": 667}, "has_touch": True, "is_mobile": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "light": DESKTOP | {"color_scheme": "light"},
    "dark": DESKTOP | {"color_scheme": "dark"},
    "right-to-left": DESKTOP,
    "forced-colours": DESKTOP | {"forced_colors": "active"},
    "forced-colours-dark": DESKTOP | {"forced_colors": "active", "color_scheme": "dark"},
    "phone": PHONE,
}
PAGE = """<style>
  :root { color-scheme: light dark }
  body { margin: 0; font-family: system-ui, sans-serif; background: light-dark(#f7f7f8, #131417) }
  header { display: flex; align-items: center; justify-content: space-between; padding: .5rem 1rem }
  h1 { font-size: 1rem }
</style>
<header><h1>Example</h1> <notistore-inbox><a slot="footer" href="/?all">All notifications</a></notistore-inbox></header>
<main></main>"""
FACE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" fill="#7c9"/>
  <circle cx="16" cy="13" r="6" fill="#fff"/><circle cx="16" cy="32" r="11" fill="#fff"/></svg>"""


async def fill(inbox: Inbox) -> None:
    await inbox.send(ADA, "login", {"title": "A new device has signed in", "body": "Firefox on Linux, in Lisbon."})
    await inbox.send(ADA, "report", {"title": "The report is ready", "action": {"label": "Download", "url": "/?r"}})
    await inbox.mark_all_read(ADA)
    await inbox.send(ADA, "export", {"title": "Exporting your data", "progress": 60})
    await inbox.send(ADA, "hebrew", {"title": "הדוח מוכן", "body": "אפשר להוריד אותו עד יום שישי."})
    actor = {"name": "Grace Hopper", "avatar": "/face.svg"}
    await inbox.send(ADA, "comment", {"title": "Grace commented on “Launch plan”", "link": "/?c", "actor": actor})
    action = {"label": "View invoice", "url": "/?i"}
    data = {"title": "Invoice 1042 was paid", "body": "Globex paid €1,250.00.", "action": action}
    await inbox.send(ADA, "invoice", data | {"actor": {"name": "Globex"}})


@pytest.fixture(params=VARIANTS)
async def rendered(
    request: pytest.FixtureRequest, browser: Browser, app: Application
) -> AsyncIterator[tuple[str, Bell]]:
    name: str = request.param
    await fill(app.inbox)
    context = await browser.new_context(**VARIANTS[name], reduced_motion="reduce")
    context.set_default_timeout(30_000)
    await context.route("**/face.svg", lambda route: route.fulfill(body=FACE, content_type="image/svg+xml"))
    page = await app.open_page(context, PAGE)
    if name == "right-to-left":
        await page.evaluate("document.documentElement.dir = 'rtl'")
    bell = Bell(page)
    await expect(bell.badge).to_have_text("4")
    await bell.open()
    await expect(bell.rows).to_have_count(6)
    yield name, bell
    await context.close()


async def test_no_parts_overlap_and_axe_finds_nothing(rendered: tuple[str, Bell], axe: Path) -> None:
    name, bell = rendered
    window = bell.page.viewport_size
    assert window
    panel = await box_of(bell.panel)
    assert 0 <= panel["x"] <= panel["x"] + panel["width"] <= window["width"]
    assert panel["y"] + panel["height"] <= window["height"]
    for row in await bell.rows.all():
        title = await box_of(row.locator(".title"))
        for part in ("mark", "avatar", "time"):
            if await row.locator(f".{part}").is_visible():
                assert is_apart(title, await box_of(row.locator(f".{part}"))), f"the {part} covers the title"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await bell.page.screenshot(path=SCREENSHOTS / f"{name}.png")
    assert await violations(bell.page, axe) == []


async def test_the_badge_stands_out_from_the_bell_and_its_number_from_the_badge(rendered: tuple[str, Bell]) -> None:
    _, bell = rendered
    badge = await box_of(bell.badge)
    picture = base64.b64encode(await bell.page.screenshot()).decode()
    scale = await bell.page.evaluate("devicePixelRatio")
    left, middle = (badge["x"] + 3) * scale, (badge["y"] + badge["height"] / 2) * scale
    colours = [*range(int(left), int((badge["x"] + badge["width"] - 3) * scale))]
    edge, *across = await bell.page.evaluate(LUMINANCES, [picture, [[x, middle] for x in [left, *colours]]])
    [page] = await bell.page.evaluate(LUMINANCES, [picture, [[(badge["x"] + badge["width"] + 4) * scale, middle]]])
    assert ratio(edge, page) >= 3
    assert max(ratio(edge, each) for each in across) >= 4.5


async def test_on_a_phone_the_tools_are_side_by_side_and_large_enough(browser: Browser, app: Application) -> None:
    await fill(app.inbox)
    async with await browser.new_context(**PHONE) as context:
        bell = Bell(await app.open_page(context, PAGE))
        await bell.button.tap()
        await expect(bell.rows).to_have_count(6)
        for row in await bell.rows.all():
            await row.scroll_into_view_if_needed()
            mark, remove = [await box_of(tool) for tool in await row.locator(".tool").all()]
            assert mark["y"] == remove["y"]
            assert min(mark["width"], mark["height"], remove["width"], remove["height"]) >= 40
            for part in (".title", ".body", ".time", ".action:not(.plain)"):
                if await row.locator(part).is_visible():
                    text = await box_of(row.locator(part))
                    assert is_apart(text, mark), part
                    assert is_apart(text, remove), part
        await bell.row("Invoice 1042").get_by_role("button", name="Mark as read").tap()
        await expect(bell.badge).to_have_text("3")
        await bell.row("Invoice 1042").get_by_role("button", name="Delete").tap()
        await expect(bell.rows).to_have_count(5)


async def test_axe_finds_nothing_when_it_is_closed_empty_or_signed_out(
    browser: Browser, app: Application, axe: Path
) -> None:
    async with await browser.new_context(reduced_motion="reduce") as context:
        bell = Bell(await app.open_page(context, PAGE))
        assert await violations(bell.page, axe) == []
        await bell.open()
        await expect(bell.empty).to_be_visible()
        assert await violations(bell.page, axe) == []
        app.tokens = set()
        await bell.page.keyboard.press("Escape")
        await bell.open()
        await expect(bell.message).to_have_text("You’re signed out.")
        assert await violations(bell.page, axe) == []


async def violations(page: Page, axe: Path) -> list[Any]:
    await page.add_script_tag(path=axe)
    found: list[Any] = await page.evaluate(
        "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))"
    )
    return found


async def box_of(part: Locator) -> FloatRect:
    box = await part.bounding_box()
    assert box
    return box


def is_apart(a: FloatRect, b: FloatRect) -> bool:
    return (
        a["x"] + a["width"] <= b["x"]
        or b["x"] + b["width"] <= a["x"]
        or a["y"] + a["height"] <= b["y"]
        or b["y"] + b["height"] <= a["y"]
    )


def ratio(a: float, b: float) -> float:
    """WCAG 2.2's contrast ratio of two luminances."""
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


# The luminance of pixels of a picture.
LUMINANCES = """async ([picture, points]) => {
  const bytes = Uint8Array.from(atob(picture), (character) => character.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  canvas.drawImage(bitmap, 0, 0);
  return points.map(([x, y]) => {
    const [r, g, b] = [...canvas.getImageData(x, y, 1, 1).data].slice(0, 3).map((value) => {
      value /= 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  });
}"""
