"""<notistore-inbox> in a real browser: what it shows, and how it follows changes made elsewhere."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from datetime import UTC, datetime

from playwright.async_api import BrowserContext, Page, Request, Route, expect

from .conftest import Bell, Inbox, open_page


async def test_the_badge_increases_when_something_is_sent_from_outside_the_page(bell: Bell, inbox: Inbox) -> None:
    await expect(bell.badge).to_be_hidden()
    await inbox.send("First")
    await expect(bell.badge).to_have_text("1")
    await inbox.send("Second")
    await expect(bell.badge).to_have_text("2")
    await expect(bell.button).to_have_accessible_name("Notifications, 2 unread")


async def test_a_hundred_at_once_end_at_99_plus_with_a_count_a_second(bell: Bell, inbox: Inbox) -> None:
    for number in range(100):
        await inbox.send(f"Number {number}")
    await expect(bell.badge).to_have_text("99+")
    await expect(bell.button).to_have_accessible_name("Notifications, more than 99 unread")
    times = await bell.page.evaluate(
        """() => performance.getEntriesByType("resource")
            .filter(({ name }) => name.includes("unread/count")).map(({ startTime }) => startTime)"""
    )
    assert all(later - earlier > 900 for earlier, later in itertools.pairwise(times)), times


async def test_a_row_lands_on_top_of_an_open_list_and_is_announced(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("Earlier", body="What it says")
    await bell.open()
    await expect(bell.rows).to_have_count(1)
    await expect(bell.rows.first.locator(".body")).to_have_text("What it says")
    await expect(bell.element.locator(".live")).to_have_text("New notification: Earlier")
    await inbox.send("Later")
    await expect(bell.rows.locator(".title")).to_have_text(["Later", "Earlier"])
    await expect(bell.element.locator(".live")).to_have_text("New notification: Later")


async def test_times_are_relative_to_now_and_exact_on_demand(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("A moment ago")
    await bell.open()
    time = bell.rows.locator("time")
    await expect(time).to_have_text("now")
    [item] = await inbox.items()
    await expect(time).to_have_attribute("datetime", str(item["updatedAt"]))
    await expect(time).to_have_attribute("title", re.compile(str(item["updatedAt"])[:4]))


async def test_a_bar_fills_in_place_in_one_row_with_few_requests(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("Above it stays what is older")
    await bell.open()
    await expect(bell.rows).to_have_count(1)
    counts = requests_of(bell.page, "unread/count")
    await bell.page.evaluate(
        """() => {
            globalThis.seen = [];
            addEventListener("notistore:notification", (event) => {
                const { data, id } = event.detail.item;
                const bar = document.querySelector("notistore-inbox").shadowRoot.querySelector("[role=progressbar]");
                globalThis.seen.push([id, data.progress, Number(bar.getAttribute("aria-valuenow"))]);
            });
        }"""
    )
    await inbox.http.post("/demo/export", json={"tenant": inbox.tenant, "user": inbox.user})
    bar = bell.rows.first.get_by_role("progressbar", name="Progress")
    await expect(bar).to_be_visible()
    await expect(bar).to_have_attribute("aria-valuemin", "0")
    await expect(bar).to_have_attribute("aria-valuemax", "100")
    row = await bell.rows.first.element_handle()
    await expect(bar).to_have_attribute("aria-valuenow", "100", timeout=15_000)
    await expect(bell.rows).to_have_count(2)
    await expect(bell.rows.first.get_by_role("link")).to_have_text("Download")
    assert await row.evaluate("(row) => row === row.parentNode.firstElementChild"), "the row was replaced"
    seen = await bell.page.evaluate("seen")
    assert len(seen) == 51
    assert len({id for id, *_ in seen}) == 1
    assert all(shown == round(progress) for _, progress, shown in seen), "the bar lags behind its events"
    assert len(counts) <= 4, "a tick that leaves it unread needs no count"
    await expect(bell.element.locator(".live")).to_have_text("New notification: Your export is ready")


async def test_reading_in_one_tab_clears_the_badge_in_another(
    context: BrowserContext, bell: Bell, inbox: Inbox
) -> None:
    other = await open_page(context, inbox)
    await inbox.send("To be read")
    await other.open()
    await expect(other.unread).to_have_count(1)
    await bell.page.bring_to_front()
    await bell.open()
    await bell.rows.first.locator(".title").click()
    await expect(other.badge).to_be_hidden()
    await expect(other.unread).to_have_count(0)
    await expect(other.rows).to_have_count(1)
    await bell.rows.first.get_by_role("button", name="Mark as unread").click()
    await expect(other.badge).to_have_text("1")
    await expect(other.unread).to_have_count(1)
    await bell.rows.first.get_by_role("button", name="Delete").click()
    await expect(other.rows).to_have_count(0)
    await expect(other.badge).to_be_hidden()
    await expect(other.empty).to_have_text("You’re all caught up.")


async def test_mark_all_leaves_what_lands_after_the_click_unread(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("One")
    await inbox.send("Two")
    await bell.open()
    await expect(bell.unread).to_have_count(2)

    async def send_meanwhile(route: Route) -> None:
        await inbox.send("Late")
        await expect(bell.rows).to_have_count(3)
        await route.continue_()

    await bell.page.route("**/read-all?*", send_meanwhile)
    await bell.panel.get_by_role("button", name="Mark all read").click()
    await expect(bell.unread).to_have_count(1)
    await expect(bell.unread.locator(".title")).to_have_text("Late")
    await expect(bell.badge).to_have_text("1")
    unread = [item["data"] for item in await inbox.items() if item["readAt"] is None]
    assert unread == [{"title": "Late"}]


async def test_load_more_brings_older_pages_and_keeps_them_through_a_refetch(bell: Bell, inbox: Inbox) -> None:
    for number in range(45):
        await inbox.send(f"Number {number}")
    await bell.open()
    more = bell.panel.get_by_role("button", name="Load more")
    await expect(bell.rows).to_have_count(20)
    await more.click()
    await expect(bell.rows).to_have_count(40)
    await more.click()
    await expect(bell.rows).to_have_count(45)
    await expect(more).to_be_hidden()
    await expect(bell.articles.nth(40)).to_be_focused()
    async with bell.page.expect_response(lambda response: "limit=45" in response.url):
        await inbox.http.post(f"{inbox.path}/read-all")
    await expect(bell.unread).to_have_count(0)
    titles = await bell.rows.locator(".title").all_text_contents()
    assert titles == [f"Number {number}" for number in reversed(range(45))]


async def test_a_row_of_a_page_that_is_not_loaded_stays_there(bell: Bell, inbox: Inbox) -> None:
    for number in range(21):
        await inbox.send(f"Number {number}")
    await bell.open()
    await expect(bell.panel.get_by_role("button", name="Load more")).to_be_visible()
    await serve_stream(bell.page, frame(7, 50))
    await bell.page.evaluate(
        "() => { globalThis.notified = new Promise((done) => addEventListener('notistore:notification', done)) }"
    )
    await reconnect(bell)
    await bell.page.evaluate("notified.then(() => true)")
    await expect(bell.rows).to_have_count(20)
    await expect(bell.rows.last.locator(".title")).to_have_text("Number 1")


async def test_a_late_list_response_does_not_undo_later_changes(bell: Bell, inbox: Inbox) -> None:
    for title in ("Deleted", "Read", "Read too"):
        await inbox.send(title)
    await expect(bell.badge).to_have_text("3")

    async def act_before_it_arrives(route: Route) -> None:
        response = await route.fetch()
        await inbox.send("Landed")
        await expect(bell.row("Landed")).to_be_visible()
        await bell.row("Deleted").get_by_role("button", name="Delete").click()
        await bell.row("Read").first.get_by_role("button", name="Mark as read").click()
        await expect(bell.unread).to_have_count(2)
        await route.fulfill(response=response)

    await bell.page.route(f"**{inbox.path}?*", act_before_it_arrives, times=1)
    async with bell.page.expect_response(lambda response: f"{inbox.path}?" in response.url) as late:
        await bell.open()
    await (await late.value).finished()
    await bell.page.evaluate("new Promise(requestAnimationFrame)")
    assert await bell.rows.locator(".title").all_text_contents() == ["Landed", "Read too", "Read"]
    assert await bell.unread.count() == 2


async def test_a_change_that_the_server_refuses_is_undone_and_announced(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("Stays")
    await bell.open()
    await bell.page.route(f"**{inbox.path}/*", lambda route: route.fulfill(status=503))
    await bell.rows.first.get_by_role("button", name="Delete").click()
    await expect(bell.notice).to_have_text("That did not work, so it was undone.")
    await expect(bell.unread).to_have_count(1)
    await bell.page.route(f"**{inbox.path}/*/read", lambda route: route.abort())
    await bell.rows.first.get_by_role("button", name="Mark as read").click()
    await expect(bell.notice).to_have_text("That did not work, so it was undone.")
    await expect(bell.unread).to_have_count(1)
    await expect(bell.badge).to_have_text("1")


async def test_changes_reach_the_server_in_the_order_they_were_made(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("To and fro")
    await bell.open()
    await expect(bell.rows).to_have_count(1)
    both_made = asyncio.Event()

    async def hold(route: Route) -> None:
        await both_made.wait()
        await route.continue_()

    await bell.page.route("**/read", hold)
    async with bell.page.expect_response(lambda response: response.url.endswith("/unread")) as second:
        await bell.articles.first.press("Space")
        await expect(bell.unread).to_have_count(0)
        await bell.articles.first.press("Space")
        await expect(bell.unread).to_have_count(1)
        both_made.set()
    assert (await second.value).ok
    async with bell.page.expect_response(lambda response: "unread/count" in response.url):
        pass
    assert [item["readAt"] for item in await inbox.items()] == [None]
    await expect(bell.badge).to_have_text("1")


async def test_events_older_than_the_version_it_shows_are_dropped(bell: Bell, inbox: Inbox) -> None:
    stream = frame(3, 60) + frame(2, 30) + frame(4, 80)
    again = frame(1, 5, created=1) + frame(9, 90)  # deleted and sent again: its version restarts at 1
    live = frame(0, 0, id="01a1f936-0000-7000-8000-000000000002")
    await serve_stream(bell.page, stream + again + live)
    await bell.page.route("**/notifications?limit=*", lambda route: route.abort())
    await bell.page.evaluate(
        """() => {
            globalThis.versions = [];
            document.addEventListener("notistore:notification", (event) => versions.push(event.detail.item.version));
        }"""
    )
    await reconnect(bell)
    await bell.open()
    await expect(bell.rows.locator(".title")).to_have_text(["Version 1"])
    await expect(bell.rows.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "5")
    assert await bell.page.evaluate("versions") == [3, 4, 1, 0]


async def test_a_stream_whose_request_failed_is_opened_again(bell: Bell, inbox: Inbox) -> None:
    refused = 0

    async def refuse_twice(route: Route) -> None:
        nonlocal refused
        refused += 1
        await (route.fulfill(status=502) if refused <= 2 else route.continue_())

    await bell.page.route("**/stream", refuse_twice)
    await reconnect(bell)
    async with bell.page.expect_response(lambda response: response.url.endswith("/stream") and response.ok):
        pass
    assert refused == 3
    await inbox.send("Heard")
    await expect(bell.badge).to_have_text("1")


async def test_a_page_without_a_network_shows_it_and_recovers(
    context: BrowserContext, bell: Bell, inbox: Inbox
) -> None:
    await inbox.send("Kept")
    await bell.open()
    await expect(bell.rows).to_have_count(1)
    await context.set_offline(True)
    await expect(bell.notice).to_have_text("You’re offline. Reconnecting…")
    await inbox.send("Missed")
    await context.set_offline(False)
    await expect(bell.notice).to_be_hidden()
    await expect(bell.rows.locator(".title")).to_have_text(["Missed", "Kept"])
    await expect(bell.badge).to_have_text("2")


async def test_a_list_that_could_not_be_fetched_is_fetched_again_automatically(bell: Bell, inbox: Inbox) -> None:
    """Its request may reach a server that is being stopped, while its stream is open on another."""
    await inbox.send("There")
    await expect(bell.badge).to_have_text("1")
    await bell.page.route(f"**{inbox.path}?*", lambda route: route.abort(), times=1)
    await bell.open()
    await expect(bell.message).to_have_text("Notifications could not be loaded.")
    await expect(bell.row("There")).to_be_visible()
    await expect(bell.message).to_be_hidden()


async def test_a_401_shows_that_the_user_is_signed_out_and_hides_their_rows(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("Private")
    await expect(bell.badge).to_have_text("1")
    await bell.page.route(f"**{inbox.path}/**", lambda route: route.fulfill(status=401))
    await bell.open()
    await bell.rows.first.get_by_role("button", name="Mark as read").click()
    await expect(bell.message).to_have_text("You’re signed out.")
    await expect(bell.rows).to_have_count(0)
    await expect(bell.badge).to_be_hidden()
    await bell.page.unroute_all()
    await bell.panel.get_by_role("button", name="Try again").click()
    await expect(bell.row("Private")).to_be_visible()
    await expect(bell.badge).to_have_text("1")


async def test_another_inbox_shows_nothing_of_the_one_before(bell: Bell, inbox: Inbox) -> None:
    await inbox.send("Mine")
    await expect(bell.badge).to_have_text("1")
    other = Inbox(inbox.http, "acme" if inbox.tenant == "globex" else "globex", inbox.user)
    await other.clear()
    await bell.page.get_by_text(other.tenant.title(), exact=True).click()
    await expect(bell.badge).to_be_hidden()
    await other.send("Theirs")
    await bell.open()
    await expect(bell.rows.locator(".title")).to_have_text(["Theirs"])


async def test_the_count_is_revalidated_not_sent_again(context: BrowserContext, bell: Bell, inbox: Inbox) -> None:
    asked: list[str | None] = []

    async def look(request: Request) -> None:
        if "unread/count" in request.url:
            asked.append((await request.all_headers()).get("if-none-match"))

    bell.page.on("requestfinished", look)
    for title in ("One", "Two"):
        async with bell.page.expect_request_finished(lambda request: "unread/count" in request.url):
            await inbox.send(title)
    await expect(bell.badge).to_have_text("2")
    assert asked[-1] == 'W/"1"'


def frame(version: int, progress: int, *, created: int = 0, **more: object) -> str:
    """A frame of one row created years ago, in the minute `created`."""
    time = datetime(2020, 1, 1, 12, created, tzinfo=UTC).isoformat(timespec="milliseconds")
    item = {
        "id": "01a1f936-0000-7000-8000-000000000001",
        "type": "export",
        "data": {"title": f"Version {version}", "progress": progress},
        "version": version,
        "readAt": None,
        "createdAt": time,
        "updatedAt": time,
        **more,
    }
    return f"event: notification\ndata: {json.dumps(item)}\n\n"


def requests_of(page: Page, part: str) -> list[Request]:
    """Collects the page's requests from now on whose URL contains `part`."""
    seen: list[Request] = []
    page.on("request", lambda request: seen.append(request) if part in request.url else None)
    return seen


async def reconnect(bell: Bell) -> None:
    """Fire the `online` event, at which the element opens a new stream."""
    await bell.page.evaluate("dispatchEvent(new Event('online'))")


async def serve_stream(page: Page, frames: str) -> None:
    headers = {"content-type": "text/event-stream"}
    await page.route("**/stream", lambda route: route.fulfill(body=f"retry: 60000\n\n{frames}", headers=headers))
