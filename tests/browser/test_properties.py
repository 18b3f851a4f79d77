"""The element's interface to a page: properties, attributes, slots and events."""

from __future__ import annotations

from playwright.async_api import BrowserContext, expect

from .application import ADA, ELEMENT, Application
from .conftest import Bell


async def test_properties_that_were_set_before_the_element_was_defined_hold(
    app_context: BrowserContext, app: Application
) -> None:
    app.tokens = {"one"}
    await app.inbox.send(ADA, "t", {"title": "Eine"})
    late = """<notistore-inbox></notistore-inbox><script>
        const bell = document.querySelector("notistore-inbox");
        bell.labels = { title: "Mitteilungen" };
        bell.headers = { Authorization: "Bearer one" };
        bell.open = true;
        setTimeout(() => import("/notifications/notistore-inbox.js"));
    </script>"""
    bell = Bell(await app.open_page(app_context, late, head=""))
    await expect(bell.panel).to_have_accessible_name("Mitteilungen")
    await expect(bell.row("Eine")).to_be_visible()
    assert await bell.page.evaluate("Object.keys(bell)") == []
    await bell.page.evaluate("bell.open = false")
    await expect(bell.panel).to_be_hidden()


async def test_open_may_be_set_before_it_is_in_the_page(app_context: BrowserContext, app: Application) -> None:
    await app.inbox.send(ADA, "t", {"title": "There"})
    bell = Bell(await app.open_page(app_context, ""))
    await bell.page.evaluate("customElements.whenDefined('notistore-inbox')")
    await bell.page.evaluate(
        """() => {
            const bell = document.createElement("notistore-inbox");
            bell.open = true;
            if (!bell.open) throw new Error("it forgot");
            document.body.append(bell);
        }"""
    )
    await expect(bell.row("There")).to_be_visible()


async def test_a_page_may_load_it_from_two_addresses(app_context: BrowserContext, app: Application) -> None:
    errors: list[str] = []
    app_context.on("weberror", lambda error: errors.append(str(error.error)))
    twice = ELEMENT + ELEMENT.replace(".js", ".js?v=2")
    bell = Bell(await app.open_page(app_context, "<notistore-inbox></notistore-inbox>", head=twice))
    await bell.page.evaluate("import('/notifications/notistore-inbox.js?v=3').then(() => 1)")
    await app.inbox.send(ADA, "t", {"title": "Once"})
    await expect(bell.badge).to_have_text("1")
    assert errors == []


async def test_types_filter_the_list_the_count_the_events_and_mark_all(
    app_context: BrowserContext, app: Application
) -> None:
    await app.inbox.send(ADA, "chat", {"title": "Chat"})
    await app.inbox.send(ADA, "invoice", {"title": "Invoice"})
    body = """<notistore-inbox types="chat, mention"></notistore-inbox>
        <script>
          globalThis.received = [];
          addEventListener("notistore:notification", ({ detail }) => received.push(detail.item.data.title));
        </script>"""
    bell = Bell(await app.open_page(app_context, body))
    await app.connected()
    await expect(bell.badge).to_have_text("1")
    await bell.open()
    await expect(bell.rows.locator(".title")).to_have_text(["Chat"])
    await app.inbox.send(ADA, "invoice", {"title": "Another invoice"})
    await app.inbox.send(ADA, "mention", {"title": "Mention"}, key="m")
    await expect(bell.rows.locator(".title")).to_have_text(["Mention", "Chat"])
    await expect(bell.badge).to_have_text("2")
    assert await bell.page.evaluate("received") == ["Mention"]
    await bell.panel.get_by_role("button", name="Mark all read").click()
    await expect(bell.unread).to_have_count(0)
    async with bell.page.expect_response("**/unread/count*"):  # it has come after the change
        pass
    assert await app.inbox.unread_count(ADA) == await app.inbox.unread_count(ADA, types=["invoice"]) == 2
    await app.inbox.send(ADA, "invoice", {"title": "No mention any more"}, key="m")
    await expect(bell.rows.locator(".title")).to_have_text(["Chat"])
    await expect(bell.badge).to_be_hidden()
    await bell.element.evaluate("(bell) => bell.removeAttribute('types')")
    await expect(bell.badge).to_have_text("3")


async def test_slots_replace_the_bell_and_the_empty_state_and_add_a_footer(
    app_context: BrowserContext, app: Application
) -> None:
    body = """<main><notistore-inbox>
        <b slot="bell">Inbox</b>
        <p slot="empty">Nothing yet. <a href="/?settings">Settings</a></p>
        <div slot="footer"><a href="/?all">All notifications</a> <input aria-label="Search"></div>
    </notistore-inbox></main>"""
    page = await app.open_page(app_context, body)
    bell = Bell(page)
    await expect(page.get_by_text("Inbox")).to_be_visible()
    await expect(bell.button.locator("svg")).to_be_hidden()
    await bell.open()
    await expect(page.get_by_text("Nothing yet.")).to_be_visible()
    await expect(bell.empty).to_be_hidden()
    search = page.get_by_label("Search")
    await search.click()
    await search.press_sequentially("ab")
    await search.press("Home")
    await search.press_sequentially("c")
    await expect(search).to_have_value("cab")
    await expect(bell.panel).to_be_visible()
    await app.inbox.send(ADA, "t", {"title": "First"})
    await expect(bell.rows).to_have_count(1)
    await expect(page.get_by_text("Nothing yet.")).to_be_hidden()
    await search.press("Escape")
    await expect(bell.panel).to_be_hidden()
    await expect(bell.button).to_be_focused()


async def test_without_slots_the_footer_takes_no_room(app_context: BrowserContext, app: Application) -> None:
    bell = Bell(await app.open_page(app_context, "<notistore-inbox></notistore-inbox>"))
    await bell.open()
    await expect(bell.empty).to_have_text("You’re all caught up.")
    await expect(bell.element.locator(".footer")).to_be_hidden()
    await expect(bell.button.locator("svg")).to_be_visible()


async def test_the_count_is_a_property_and_each_change_an_event(app_context: BrowserContext, app: Application) -> None:
    body = """<notistore-inbox></notistore-inbox><script>
        globalThis.counts = [];
        addEventListener("notistore:count", ({ detail, target }) => counts.push([detail.count, target.count]));
    </script>"""
    bell = Bell(await app.open_page(app_context, body))
    await app.inbox.send(ADA, "t", {"title": "One"})
    await expect(bell.badge).to_have_text("1")
    await bell.open()
    await bell.rows.locator(".title").click()
    await expect(bell.badge).to_be_hidden()
    await bell.page.wait_for_function("counts.length === 2")
    assert await bell.page.evaluate("counts") == [[1, 1], [0, 0]]


async def test_a_notification_says_whether_it_is_news(app_context: BrowserContext, app: Application) -> None:
    body = """<notistore-inbox></notistore-inbox><script>
        globalThis.received = [];
        addEventListener("notistore:notification", ({ detail }) => received.push([detail.item.type, detail.announced]));
    </script>"""
    page = await app.open_page(app_context, body)
    await app.connected()
    async with page.expect_response("**/unread/count*"):
        await app.inbox.send(ADA, "started", {"progress": 0}, key="bar")
        await app.inbox.send(ADA, "tick", {"progress": 50}, key="bar", renotify=False)
        await app.inbox.send(ADA, "done", {"progress": 100}, key="bar")
        await app.inbox.send_live(ADA, "typing")
        await app.inbox.send(ADA, "news")
    await page.wait_for_function("received.length === 5")
    assert await page.evaluate("received") == [
        ["started", True],
        ["tick", False],
        ["done", True],
        ["typing", False],
        ["news", True],
    ]
