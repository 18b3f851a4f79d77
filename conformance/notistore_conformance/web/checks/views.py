"""All views of an inbox together: after each change, and with another recipient's inbox for comparison."""

from __future__ import annotations

import asyncio

from ...registry import web_check
from ..context import Item, WebContext


@web_check("web/current", "Once a change is answered every page, list and count shows it", "answers.current")
async def current(c: WebContext) -> None:
    [keyed] = await c.sent(key=c.type)
    three, two, one = await c.sent(3)
    unread = {three: True, two: True, one: True, keyed: True}
    rest = await c.badge() - len(unread)  # of the inbox's unread notifications, those this check has not sent

    async def shows(after: str) -> None:
        nonlocal rest
        if after == "POST /read-all":
            rest = 0
        mine = {"type": c.type}
        page = await c.json(params={"page": 1, "perPage": 100, **mine})
        listed: list[Item] = page["items"]
        states = {item["id"]: item["readAt"] is None for item in listed}
        c.equal("answers.current", list(states.items()), list(unread.items()), f"after {after}, which ids are unread")
        number, newest = sum(unread.values()), [item for item in listed if item["readAt"] is None]
        for path, expected in (("", listed), ("/unread", newest)):
            for query in (mine, {}) if path else ({**mine, "limit": 100}, {"limit": 100}, {}):
                answer = await c.json(path, params=query)
                items = answer if path else answer["items"]
                sent = [item for item in items if item["type"] == c.type]
                c.equal("answers.current", sent, expected, f"after {after}, GET {path} with {query}")
        counts = (page["meta"]["total"], await c.unread(), await c.badge())
        c.equal("answers.current", counts, (len(unread), number, rest + number), f"after {after}, the total and counts")

    async def change(method: str, path: str, body: object = None, **now: bool) -> None:
        c.equal("answers.current", (await c.ask(method, path, json=body)).is_success, True, f"{method} {path}")
        unread.update(now)
        await shows(f"{method} {path}")

    await shows("they were sent")
    await change("POST", f"/{two}/read", **{two: False})
    await change("POST", f"/{two}/unread", **{two: True})
    await change("PATCH", "/read", {"ids": [one, two]}, **{one: False, two: False})
    await change("POST", f"/{one}/unread", **{one: True})
    await change("POST", f"/read-all?type={c.type}", **dict.fromkeys(unread, False))
    await change("POST", f"/{one}/unread", **{one: True})
    await change("POST", "/read-all", **dict.fromkeys(unread, False))
    await change("POST", f"/{two}/unread", **{two: True})
    del unread[two]
    await change("DELETE", f"/{two}")
    [four] = await c.sent()
    unread = {four: True, **unread}
    await shows("another was sent")


@web_check("web/evolves", "What evolves keeps its place, and every view shows it at once", "page.order", "count.value")
async def evolves(c: WebContext) -> None:
    await c.sent(key=c.type, data={"step": 1})
    newer = await c.sent(2)
    [*_, first] = before = await c.own()
    if first["key"] != c.type:
        return  # what sends for the kit keeps no keys
    badge = await c.badge()
    for step in (2, 3):
        await c.sent(key=c.type, data={"step": step})
        page = (await c.json(params={"page": 1, "type": c.type}))["items"]
        listed = await c.json("/unread", params={"type": c.type})
        for items in (page, await c.own(), listed):
            shown = [(item["id"], item["createdAt"]) for item in items]
            c.equal("page.order", shown, [(item["id"], item["createdAt"]) for item in before], "ids and createdAt")
            c.equal("page.order", items[-1]["data"], {"step": step}, "the data of the one that evolved")
        c.equal("count.value", (await c.unread(), await c.badge()), (len(newer) + 1, badge), "the counts")


@web_check("web/own", "Each recipient gets their own inbox, even right after another's identical request", "inbox.own")
async def own(c: WebContext) -> None:
    inboxes = ((c.me, await c.sent(2)), (c.other, await c.sent(3, who=c.other)))
    views = ("?perPage=100&", "?limit=100&", "/unread?", "/unread/count?")

    async def shows(who: object, ids: list[str], path: str) -> None:
        answer = await c.json(f"{path}type={c.type}", who=who)
        if path.startswith("/unread/count"):
            c.equal("inbox.own", answer, {"count": len(ids)}, f"GET {path}type={c.type}")
            return
        items = answer if path.startswith("/unread") else answer["items"]
        c.equal("inbox.own", [item["id"] for item in items], ids, f"GET {path}type={c.type}")

    for path in views:
        for who, ids in (*inboxes, *inboxes):
            await shows(who, ids, path)
    results = await asyncio.gather(
        *(shows(who, ids, path) for _ in range(5) for path in views for who, ids in inboxes), return_exceptions=True
    )
    for error in results:
        if error is not None:
            raise error
    people = [
        {(item["notifiableType"], item["notifiableId"], item["tenantId"]) for item in await c.own_of(who)}
        for who, _ in inboxes
    ]
    c.equal("inbox.own", [len(names) for names in people], [1, 1], "recipients named by each one's items")
    c.equal("inbox.own", people[0] & people[1], set(), "recipients named by the items of both")
