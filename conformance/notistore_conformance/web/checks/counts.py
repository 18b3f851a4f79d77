"""The unread array and the badge."""

from __future__ import annotations

from ...registry import web_check
from ..context import WebContext
from .pages import ids


@web_check("web/unread", "GET /unread is the unread items, newest first", "unread.list", "unread.type")
async def unread(v: WebContext) -> None:
    newest, middle, oldest = await v.sent(3)
    [other] = await v.sent(type=f"{v.type}.other")
    await v.ask("POST", f"/{middle}/read")
    listed = await v.json("/unread", params={"type": v.type}, clause="unread.list")
    v.equal("unread.type", ids(listed), [newest, oldest], f"?type={v.type}")
    listed = await v.json("/unread", clause="unread.list")
    v.equal("unread.list", ids(listed)[:3], [other, newest, oldest], "the newest three")
    v.equal("unread.list", [item for item in listed if item["readAt"] is not None], [], "items that are read")


@web_check("web/count", "The count is of the unread items", "count.value", "count.type", "count.max")
async def count(v: WebContext) -> None:
    before = await v.json("/unread/count", clause="count.value")
    v.equal("count.value", set(before), {"count"})
    ids = await v.sent(3)
    await v.sent(type=f"{v.type}.other")
    v.equal("count.value", await v.badge(), before["count"] + 4, "after four were sent")
    v.equal("count.type", await v.unread(), 3, f"?type={v.type}")
    both = f"{v.type},{v.type}.other"
    for types, there in ((v.type, 3), (both, 4), ("", before["count"] + 4)):
        counted = [await v.unread(max=n, type=types) for n in (1, 2, 3, 4, 10_000)]
        expected = [min(n, there) for n in (1, 2, 3, 4, 10_000)]
        v.equal("count.max", counted, expected, f"?type={types}&max=1, 2, 3, 4, 10000")
    await v.ask("POST", f"/{ids[0]}/read")
    v.equal("count.type", await v.unread(type=both), 3, "of two types, once one is read")
    await v.ask("POST", f"/{ids[0]}/read")
    v.equal("count.value", await v.badge(), before["count"] + 3, "after one was read")


@web_check("web/etag", "A count that still holds is 304, one that does not is 200", "count.etag")
async def etag(v: WebContext) -> None:
    [id] = await v.some()
    await v.ask("POST", f"/{id}/unread")
    first = await v.ask("GET", "/unread/count")
    tag = {"If-None-Match": first.headers.get("etag", "")}
    again = await v.ask("GET", "/unread/count", headers=tag)
    v.answered("count.etag", again, 304, "while it is the same")
    v.equal("count.etag", again.content, b"", "the body of a 304")
    v.equal("count.etag", again.headers.get("etag"), first.headers.get("etag"), "the ETag of a 304")
    several = {"If-None-Match": f'"another", {tag["If-None-Match"]}'}
    v.answered("count.etag", await v.ask("GET", "/unread/count", headers=several), 304, "of one among several tags")
    none = await v.ask("GET", "/unread/count", params={"type": f"{v.type}.none"}, headers=tag)
    v.answered("count.etag", none, 200, "of another query")
    v.equal("count.etag", none.json(), {"count": 0}, "the count of another query")
    await v.ask("POST", f"/{id}/read")
    changed = await v.ask("GET", "/unread/count", headers=tag)
    v.answered("count.etag", changed, 200, "once it is not")
    v.equal("count.etag", changed.json()["count"], first.json()["count"] - 1, "the new count")
