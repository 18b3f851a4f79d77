"""The element by keyboard, and what a screen reader announces of it."""

from __future__ import annotations

import itertools
from typing import Literal

from playwright.async_api import expect

from .conftest import Bell, Inbox


async def send_three(bell: Bell, inbox: Inbox) -> None:
    for title in ("Oldest", "Middle", "Newest"):
        await inbox.send(title)
    await expect(bell.badge).to_have_text("3")


async def open_by_keyboard(bell: Bell) -> None:
    await bell.button.focus()
    await bell.page.keyboard.press("Enter")
    await expect(bell.panel).to_be_focused()
    await expect(bell.rows).to_have_count(3)


async def test_the_button_says_what_it_opens_and_whether_it_is_open(bell: Bell) -> None:
    await expect(bell.button).to_have_role("button")
    await expect(bell.button).to_have_accessible_name("Notifications")
    await expect(bell.button).to_have_attribute("aria-expanded", "false")
    await bell.open()
    await expect(bell.button).to_have_attribute("aria-expanded", "true")
    controls = await bell.button.get_attribute("aria-controls")
    await expect(bell.panel).to_have_id(controls or "")
    await expect(bell.panel).to_have_accessible_name("Notifications")


async def test_the_list_is_a_list_of_named_articles(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("A title", body="A body")
    await bell.open()
    await expect(bell.panel.get_by_role("list", name="Notifications").get_by_role("listitem")).to_have_count(1)
    await expect(bell.articles).to_have_accessible_name("Unread: A title")
    await expect(bell.articles).to_have_accessible_description("A body now")
    await bell.rows.get_by_role("button", name="Mark as read").click()
    await expect(bell.articles).to_have_accessible_name("A title")


async def test_arrows_home_and_end_move_among_rows_and_tab_reaches_one(bell: Bell, inbox: Inbox) -> None:
    await send_three(bell, inbox)
    await open_by_keyboard(bell)
    keyboard = bell.page.keyboard
    for key, focused in [
        ("ArrowDown", "Newest"),
        ("ArrowDown", "Middle"),
        ("End", "Oldest"),
        ("ArrowDown", "Oldest"),
        ("ArrowUp", "Middle"),
        ("Home", "Newest"),
    ]:
        await keyboard.press(key)
        await expect(bell.row(focused).get_by_role("article")).to_be_focused()
    assert await bell.element.locator("article[tabindex='0']").count() == 1
    await keyboard.press("Tab")
    await expect(bell.row("Newest").get_by_role("button", name="Mark as read")).to_be_focused()
    await keyboard.press("Tab")
    await expect(bell.row("Newest").get_by_role("button", name="Delete")).to_be_focused()


async def test_space_enter_and_delete_act_on_the_focused_row(bell: Bell, inbox: Inbox) -> None:
    await send_three(bell, inbox)
    await open_by_keyboard(bell)
    keyboard = bell.page.keyboard
    await keyboard.press("ArrowDown")
    await keyboard.press("Space")
    await expect(bell.unread).to_have_count(2)
    await keyboard.press("Space")
    await expect(bell.unread).to_have_count(3)
    await keyboard.press("Enter")
    await expect(bell.unread).to_have_count(2)
    await keyboard.press("Delete")
    await expect(bell.row("Middle").get_by_role("article")).to_be_focused()
    await keyboard.press("End")
    await keyboard.press("Delete")
    await expect(bell.row("Middle").get_by_role("article")).to_be_focused()
    await keyboard.press("Delete")
    await expect(bell.panel).to_be_focused()
    await expect(bell.empty).to_have_text("You’re all caught up.")
    await expect(bell.badge).to_be_hidden()


async def test_enter_follows_the_link_of_a_row_and_reads_it(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("Linked", actionUrl="/?followed")
    await bell.open()
    await expect(bell.rows).to_have_count(1)
    await bell.page.keyboard.press("ArrowDown")
    await bell.page.keyboard.press("Enter")
    await bell.page.wait_for_url("**/?followed")
    await bell.page.goto(f"/#{inbox.tenant}/{inbox.user}")
    await bell.open()
    await expect(bell.rows).to_have_count(1)
    await expect(bell.unread).to_have_count(0)


async def test_escape_closes_and_gives_focus_back(bell: Bell, inbox: Inbox) -> None:
    await send_three(bell, inbox)
    await open_by_keyboard(bell)
    await bell.page.keyboard.press("ArrowDown")
    await bell.page.keyboard.press("Escape")
    await expect(bell.panel).to_be_hidden()
    await expect(bell.button).to_be_focused()


async def test_a_click_or_focus_elsewhere_closes_it(bell: Bell) -> None:
    await bell.open()
    await bell.page.get_by_role("heading", level=1).click()
    await expect(bell.panel).to_be_hidden()
    await bell.open()
    await bell.page.get_by_label("Title").focus()
    await expect(bell.panel).to_be_hidden()


async def test_focus_stays_where_it_is_while_rows_land_around_it(bell: Bell, inbox: Inbox) -> None:
    await send_three(bell, inbox)
    await open_by_keyboard(bell)
    await bell.row("Middle").get_by_role("article").focus()
    await inbox.send("On top")
    await inbox.http.post(f"{inbox.path}/read-all")
    await expect(bell.rows).to_have_count(4)
    await expect(bell.unread).to_have_count(0)
    await expect(bell.row("Middle").get_by_role("article")).to_be_focused()


async def test_focus_goes_to_a_neighbour_when_its_row_is_deleted_elsewhere(bell: Bell, inbox: Inbox) -> None:
    await send_three(bell, inbox)
    await open_by_keyboard(bell)
    await bell.row("Middle").get_by_role("article").focus()
    middle = (await inbox.items())[1]
    await inbox.http.delete(f"{inbox.path}/{middle['id']}")
    await expect(bell.rows).to_have_count(2)
    await expect(bell.row("Oldest").get_by_role("article")).to_be_focused()


async def test_every_text_can_be_replaced(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("Eine")
    await expect(bell.badge).to_have_text("1")
    await bell.element.evaluate(
        """(element) => {
            element.labels = { title: "Mitteilungen", unread: "{n} ungelesen", markRead: "Als gelesen markieren" };
        }"""
    )
    await expect(bell.button).to_have_accessible_name("Mitteilungen, 1 ungelesen")
    await bell.button.click()
    await expect(bell.rows.get_by_role("button", name="Als gelesen markieren")).to_be_visible()


async def test_every_text_has_contrast_and_room_in_light_and_dark_wide_and_narrow(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("A title", body="A body", actionUrl="/")
    await inbox.send("Refused", actionLabel="Plain", actionUrl="javascript:1")
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme, width in itertools.product(schemes, (1280, 320)):
        await bell.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await bell.page.set_viewport_size({"width": width, "height": 640})
        await bell.open()
        await expect(bell.rows).to_have_count(2)
        panel = await bell.panel.bounding_box()
        assert panel
        assert panel["x"] >= 0
        assert panel["x"] + panel["width"] <= width
        assert panel["y"] + panel["height"] <= 640
        ratios = await bell.element.evaluate(CONTRAST)
        assert {part: ratio for part, ratio in ratios if ratio < 4.5} == {}, (scheme, width)
        await bell.page.keyboard.press("Escape")


# WCAG 2.2, 1.4.3: the contrast of each text with the panel behind it, as the browser computes both colours.
CONTRAST = """(element) => {
  const root = element.shadowRoot;
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const luminance = (color) => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
      value /= 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const style = (part) => getComputedStyle(root.querySelector(part));
  const surface = luminance(style(".panel").backgroundColor);
  const hover = luminance(style(".notice").backgroundColor);
  const parts = [".heading", ".mark-all", ".title", ".body", ".time", ".action:not(.plain)", ".plain"];
  return [
    ...parts.map((part) => [part, ratio(surface, luminance(style(part).color))]),
    ...parts.map((part) => [`${part} (hover)`, ratio(hover, luminance(style(part).color))]),
    [".badge", ratio(luminance(style(".badge").backgroundColor), luminance(style(".badge").color))],
  ];
}"""
