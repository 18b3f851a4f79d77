"""The unread array and the badge."""

from __future__ import annotations

from ...registry import web_check
from ..context import WebContext
from .pages import ids


@web_check("web/unread", "GET /unread is the unread items, newest first", "unread.list", "unread.type")
async def unread(c: WebContext) -> None:
    newest, middle, oldest = await c.sent(3)
    [other] = await c.sent(type=f"{c.type}.other")
    await c.ask("POST", f"/{middle}/read")
    listed = await c.json("/unread", params={"type": c.type}, clause="unread.list")
    c.equal("unread.type", ids(listed), [newest, oldest], f"?type={c.type}")
    listed = await c.json("/unread", clause="unread.list")
    c.equal("unread.list", ids(listed)[:3], [other, newest, oldest], "the newest three")
    c.equal("unread.list", [item for item in listed if item["readAt"] is not None], [], "items that are read")


@web_check("web/count", "The count is of the unread items", "count.value", "count.type", "count.max")
async def count(c: WebContext) -> None:
    before = await c.json("/unread/count", clause="count.value")
    c.equal("count.value", set(before), {"count"})
    ids = await c.sent(3)
    await c.sent(type=f"{c.type}.other")
    c.equal("count.value", await c.badge(), before["count"] + 4, "after four were sent")
    c.equal("count.type", await c.unread(), 3, f"?type={c.type}")
    both = f"{c.type},{c.type}.other"
    for types, there in ((c.type, 3), (both, 4), ("", before["count"] + 4)):
        counted = [await c.unread(max=n, type=types) for n in (1, 2, 3, 4, 10_000)]
        expected = [min(n, there) for n in (1, 2, 3, 4, 10_000)]
        c.equal("count.max", counted, expected, f"?type={types}&max=1, 2, 3, 4, 10000")
    await c.ask("POST", f"/{ids[0]}/read")
    c.equal("count.type", await c.unread(type=both), 3, "of two types, once one is read")
    await c.ask("POST", f"/{ids[0]}/read")
    c.equal("count.value", await c.badge(), before["count"] + 3, "after one was read")


@web_check("web/etag", "A count that still holds is 304, one that does not is 200", "count.etag")
async def etag(c: WebContext) -> None:
    [id] = await c.some()
    await c.ask("POST", f"/{id}/unread")
    first = await c.ask("GET", "/unread/count")
    tag = {"If-None-Match": first.headers.get("etag", "")}
    again = await c.ask("GET", "/unread/count", headers=tag)
    c.answered("count.etag", again, 304, "while it is the same")
    c.equal("count.etag", again.content, b"", "the body of a 304")
    c.equal("count.etag", again.headers.get("etag"), first.headers.get("etag"), "the ETag of a 304")
    several = {"If-None-Match": f'"another", {tag["If-None-Match"]}'}
    c.answered("count.etag", await c.ask("GET", "/unread/count", headers=several), 304, "of one among several tags")
    none = await c.ask("GET", "/unread/count", params={"type": f"{c.type}.none"}, headers=tag)
    c.answered("count.etag", none, 200, "of another query")
    c.equal("count.etag", none.json(), {"count": 0}, "the count of another query")
    await c.ask("POST", f"/{id}/read")
    changed = await c.ask("GET", "/unread/count", headers=tag)
    c.answered("count.etag", changed, 200, "once it is not")
    c.equal("count.etag", changed.json()["count"], first.json()["count"] - 1, "the new count")
