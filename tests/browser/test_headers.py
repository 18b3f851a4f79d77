"""With `headers` the element reads its stream by fetch, so that a bearer token reaches every request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import BrowserContext, Request, Route, expect
from starlette.types import Send

from ..web.served import until
from .application import ADA, Application
from .conftest import Bell


@asynccontextmanager
async def serving_chunks(app: Application, *chunks: bytes) -> AsyncIterator[None]:
    """Respond to every stream request with these chunks, and end the response."""

    async def raw(send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0.01)  # so that the chunks probably arrive separately; no result depends on it
        await send({"type": "http.response.body", "body": b""})

    app.raw = raw
    yield
    app.raw = None


# Timeouts of eight seconds and more are recorded, and fire at once.
SKIP_LONG_TIMEOUTS = (
    "const set = setTimeout, waits = []; setTimeout = (f, ms) => (waits.push(ms), set(f, ms >= 8000 ? 10 : ms))"
)
BELL = "<notistore-inbox></notistore-inbox>"
WITH_A_TOKEN = """<script>
  globalThis.token = "one";
  globalThis.asked = [];
  globalThis.signedOut = 0;
  addEventListener("notistore:signed-out", () => signedOut++);
  document.querySelector("notistore-inbox").headers = async ({ refresh }) => {
    asked.push(refresh);
    if (refresh && globalThis.renewed) token = await renewed;
    return { Authorization: `Bearer ${token}` };
  };
</script>"""


async def test_without_headers_the_stream_is_an_event_source(app_context: BrowserContext, app: Application) -> None:
    page = await app.open_page(app_context, "")
    async with page.expect_request("**/stream") as first:
        await page.evaluate("document.body.append(document.createElement('notistore-inbox'))")
    assert (await first.value).resource_type == "eventsource"
    async with page.expect_request("**/stream") as second:
        await page.evaluate("document.querySelector('notistore-inbox').headers = { 'X-CSRFToken': 'a' }")
    assert (await second.value).resource_type == "fetch"
    async with page.expect_request("**/stream") as third:
        await page.evaluate("document.querySelector('notistore-inbox').headers = {}")
    assert (await third.value).resource_type == "eventsource"


async def test_a_token_reaches_every_request_and_events_arrive(app_context: BrowserContext, app: Application) -> None:
    app.tokens = {"one"}
    page = await app.open_page(app_context, BELL + WITH_A_TOKEN)
    await until(lambda: len(app.streams) > 0)
    assert {stream["authorization"] for stream in app.streams} == {"Bearer one"}
    bell = Bell(page)
    await app.inbox.send(ADA, "t", {"title": "Heard"})
    await expect(bell.badge).to_have_text("1")
    await bell.open()
    async with page.expect_response("**/read"):
        await bell.rows.get_by_role("button", name="Mark as read").click()
    [row] = await app.inbox.page(ADA)
    assert row.read_at is not None
    assert await page.evaluate("[signedOut, asked.includes(true)]") == [0, False]


async def test_setting_equal_headers_opens_no_new_stream(app_context: BrowserContext, app: Application) -> None:
    page = await app.open_page(app_context, BELL)
    await until(lambda: len(app.streams) == 1)
    async with page.expect_request("**/stream"):
        await page.evaluate("document.querySelector('notistore-inbox').headers = { 'X-A': '1' }")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if request.url.endswith("/stream") else None)
    await page.evaluate("document.querySelector('notistore-inbox').headers = new Headers({ 'x-a': '1' })")
    async with page.expect_request("**/stream") as other:
        await page.evaluate("document.querySelector('notistore-inbox').headers = { 'X-A': '2' }")
    assert asked == [await other.value]


async def test_a_stream_that_ends_is_read_again_from_its_last_event(
    app_context: BrowserContext, app: Application
) -> None:
    async with serving_chunks(app, b"retry: 50\n\nid: 7\nevent: notification\ndata: \n\n"):
        await app.open_page(app_context, BELL + WITH_A_TOKEN)
        await until(lambda: len(app.streams) >= 2)
    assert [stream.get("last-event-id") for stream in app.streams[:2]] == [None, "7"]


async def test_the_servers_retry_is_honoured_and_failures_lengthen_it(
    app_context: BrowserContext, app: Application
) -> None:
    async with serving_chunks(app, b"retry: 8000\n\n"):
        page = await app.open_page(app_context, f"<script>{SKIP_LONG_TIMEOUTS}</script>{BELL}{WITH_A_TOKEN}")
        await until(lambda: len(app.streams) >= 3)
        assert max(await page.evaluate("waits")) == 8000, "it is what each stream said"
        await page.route("**/stream", lambda route: route.abort())
        await page.wait_for_function("waits.some((ms) => ms > 8000 && ms <= 16000)")
        await page.wait_for_function("waits.some((ms) => ms > 16000)")
    assert max(await page.evaluate("waits")) <= 30_000


async def test_a_stream_is_parsed_whatever_its_chunks_and_line_ends(
    app_context: BrowserContext, app: Application
) -> None:
    time = "2026-01-01T00:00:00Z"
    item = json.dumps({"id": "1", "version": 1, "type": "t", "createdAt": time, "updatedAt": time})
    frames = [
        ": a comment\r\n\r",  # a line end in two chunks
        "\nevent: notification\r\ndata: " + item[:-1] + ',\r\ndata: "data": {"title": "Gr',
        "üße".encode()[:1],  # a character in two chunks
        "üße".encode()[1:],
        '"}}\r\n\r\nevent: other\rdata: 1\r\rdata',
        ": no name\n\nevent:notification\ndata:7\n\nevent: notification\ndata: 8",  # and no end
    ]
    chunks = [frame if isinstance(frame, bytes) else frame.encode() for frame in frames]
    async with serving_chunks(app, *chunks):
        page = await app.open_page(app_context, "<p>")
        titles = await page.evaluate(
            """() => new Promise((resolve) => {
                const bell = document.createElement("notistore-inbox");
                const titles = [];
                bell.headers = { "X-A": "1" };
                bell.addEventListener("notistore:notification", ({ detail }) => titles.push(detail.item.data.title));
                bell.addEventListener("notistore:count", ({ detail }) => resolve([...titles, detail.count]));
                document.body.append(bell);
            })"""
        )
    assert titles == ["Grüße", 7]


async def test_a_token_that_has_expired_is_renewed_once_for_all_requests(
    app_context: BrowserContext, app: Application
) -> None:
    app.tokens = {"two"}
    renewed = "globalThis.renewed = new Promise((resolve) => (globalThis.renew = resolve));"
    page = await app.open_page(app_context, f"<script>{renewed}</script>{BELL}{WITH_A_TOKEN}")
    await page.evaluate("document.querySelector('notistore-inbox').open = true")
    await page.wait_for_function("asked.filter((refresh) => !refresh).length >= 3")  # the stream, the count, the list
    await page.evaluate("renew('two')")
    await app.inbox.send(ADA, "t", {"title": "Heard"})
    bell = Bell(page)
    await expect(bell.badge).to_have_text("1")
    await expect(bell.row("Heard")).to_be_visible()
    assert await page.evaluate("[signedOut, asked.filter(Boolean).length]") == [0, 1]


async def test_a_refusal_that_arrives_once_the_token_is_renewed_renews_it_no_more(
    app_context: BrowserContext, app: Application
) -> None:
    app.tokens = {"two"}
    renewed = asyncio.Event()

    async def delay(route: Route) -> None:
        refused = await route.fetch()
        await app_context.unroute("**/notifications?*")
        await renewed.wait()
        await route.fulfill(response=refused)

    await app_context.route("**/notifications?*", delay)
    opened = "<script>renewed = 'two'; document.querySelector('notistore-inbox').open = true</script>"
    page = await app.open_page(app_context, f"{BELL}{WITH_A_TOKEN}{opened}")
    await page.wait_for_function("asked.includes(true)")
    async with page.expect_response(lambda response: "/notifications?" in response.url and response.ok):
        renewed.set()
    assert await page.evaluate("[signedOut, asked.filter(Boolean).length]") == [0, 1]


async def test_a_token_that_is_refused_signs_out_and_a_new_one_signs_in(
    app_context: BrowserContext, app: Application
) -> None:
    app.tokens = {"one"}
    await app.inbox.send(ADA, "t", {"title": "Private"})
    page = await app.open_page(app_context, BELL + WITH_A_TOKEN)
    bell = Bell(page)
    await expect(bell.badge).to_have_text("1")
    app.tokens = {"two"}
    await bell.open()
    await expect(bell.message).to_have_text("You’re signed out.")
    await expect(bell.badge).to_be_hidden()
    await expect(bell.rows).to_have_count(0)
    assert await page.evaluate("signedOut") == 1
    await page.evaluate("token = 'two'; document.querySelector('notistore-inbox').reconnect()")
    await expect(bell.row("Private")).to_be_visible()
    await expect(bell.badge).to_have_text("1")
    assert await page.evaluate("signedOut") == 1
