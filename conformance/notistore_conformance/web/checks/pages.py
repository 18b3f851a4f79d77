"""Reading the inbox: pages, keyset pages, and what an item is."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from notistore.ids import new_id

from ...registry import web_check
from ...running.exceptions import NotOffered
from ..context import WebContext

FIELDS: Final = {
    *("id", "type", "notifiableType", "notifiableId", "tenantId", "key", "data", "actor", "traceId", "version"),
    *("readAt", "createdAt", "updatedAt"),
}
# Ends of names. A comparison that is not exact takes one in an even place for another: as its beginning, as a pattern,
# or as the same without case, composition or leading zeros.
_TYPES: Final = ("", ".a b", ".a", ".A", "_a", "xa", ".\u00e4", ".a\u0308", "01", "1", "%", ".a+b", "*", "?")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)")


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


@web_check("web/page", "A page is items and what there is in all", "page.shape", "page.default")
async def page(c: WebContext) -> None:
    await c.some(3)
    body = await c.json(params={"page": 1, "perPage": 2}, clause="page.shape")
    c.equal("page.shape", set(body), {"items", "meta"})
    c.equal("page.shape", set(body["meta"]), {"page", "perPage", "total", "lastPage"}, "meta")
    meta = body["meta"]
    c.equal("page.shape", len(body["items"]), 2, "items of a page of 2")
    c.equal("page.shape", (meta["page"], meta["perPage"]), (1, 2), "meta")
    c.equal("page.shape", meta["lastPage"], -(-meta["total"] // 2), "lastPage, which follows from total")
    last = await c.json(params={"page": meta["lastPage"], "perPage": 2}, clause="page.shape")
    c.equal("page.shape", len(last["items"]), 2 - meta["total"] % 2, "items of the last page")
    nothing = (await c.json(params={"page": 1, "type": f"{c.type}.none"}, clause="page.shape"))["meta"]
    c.equal("page.shape", (nothing["total"], nothing["lastPage"]), (0, 1), "total and lastPage of no items")
    beyond = await c.json(params={"page": meta["lastPage"] + 1, "perPage": 2}, clause="page.shape")
    c.equal("page.shape", (beyond["items"], beyond["meta"]["total"]), ([], meta["total"]), "past the last page")
    plain = (await c.json(clause="page.default"))["meta"]
    c.equal("page.default", (plain["page"], plain["perPage"]), (1, 20))


@web_check("web/newest-first", "Items are newest first, on every page", "page.order")
async def newest_first(c: WebContext) -> None:
    await c.some(3)
    items = (await c.json(params={"perPage": 100}))["items"]
    places = [(datetime.fromisoformat(item["createdAt"]), item["id"]) for item in items]
    c.equal("page.order", places, sorted(places, reverse=True), "createdAt and id")
    paged = [(await c.json(params={"page": n, "perPage": 1}))["items"][0]["id"] for n in (1, 2, 3)]
    c.equal("page.order", paged, ids(items)[:3], "three pages of one")


@web_check(
    "web/caps", "Pages and the unread array hold at most 100, the count does not end there", "page.cap", "page.floor",
    "unread.cap", "count.value",
)  # fmt: skip
async def caps(c: WebContext) -> None:
    sent = await c.sent(101)
    body = await c.json(params={"perPage": 1000, "type": c.type})
    c.equal("page.cap", (body["meta"]["perPage"], len(body["items"])), (100, 100), "perPage and items")
    c.equal("page.cap", (body["meta"]["total"], body["meta"]["lastPage"]), (101, 2), "total and lastPage")
    second = await c.json(params={"perPage": 1000, "type": c.type, "page": 2})
    c.equal("page.cap", ids(body["items"] + second["items"]), sent, "the items of both pages")
    keyset = await c.json(params={"limit": 1000, "type": c.type})
    c.equal("page.cap", ids(keyset["items"]), sent[:100], "?limit=1000")
    for below in (0, -1):
        body = await c.json(params={"page": below, "perPage": below, "type": c.type})
        c.equal("page.floor", (body["meta"]["page"], body["meta"]["perPage"]), (1, 1), f"of {below}")
        c.equal("page.floor", ids(body["items"]), sent[:1], "the items")
    c.equal("unread.cap", ids(await c.json("/unread", params={"type": c.type})), sent[:100])
    c.equal("count.value", await c.unread(), 101)


@web_check(
    "web/types",
    "?type= names types exactly, in pages, lists, counts and read-all",
    *("page.type", "keyset.type", "unread.type", "count.type", "read-all.type"),
)
async def types(c: WebContext) -> None:
    names = [f"{c.type}{end}" for end in _TYPES]
    sent = {name: (await c.sent(type=name))[0] for name in names}
    queries = [[name] for name in (*names, f"{c.type}.none")] + [names[:2], names[-1:-4:-1]]
    for asked in queries:
        expected = [id for name, id in reversed(sent.items()) if name in asked]
        query = {"type": ",".join(asked)}
        numbered = await c.json(params={"page": 1, **query})
        c.equal("page.type", ids(numbered["items"]), expected, f"?type={query['type']}")
        c.equal("page.type", numbered["meta"]["total"], len(expected), f"the total of ?type={query['type']}")
        keyset = await c.json(params={"limit": 99, **query})
        c.equal("keyset.type", ids(keyset["items"]), expected, f"?limit=99&type={query['type']}")
        c.equal("unread.type", ids(await c.json("/unread", params=query)), expected, f"?type={query['type']}")
        c.equal("count.type", await c.unread(**query), len(expected), f"?type={query['type']}")
    for asked in (*([name] for name in names[::2]), names[1:4:2]):
        c.answered("read-all.type", await c.ask("POST", "/read-all", params={"type": ",".join(asked)}), 204)
        for name in asked:
            del sent[name]
        left = [name for name in names if await c.unread(type=name)]
        c.equal("read-all.type", left, list(sent), f"types left unread after ?type={','.join(asked)}")


@web_check(
    "web/keyset", "Keyset pages are items and next, whatever page and perPage say", "keyset.shape", "keyset.wins"
)
async def keyset(c: WebContext) -> None:
    expected = await c.some(3)
    first = await c.json(params={"limit": 2}, clause="keyset.shape")
    c.equal("keyset.shape", set(first), {"items", "next"})
    c.equal("keyset.shape", ids(first["items"]), expected[:2], "?limit=2")
    second = await c.json(params={"before": first["next"], "limit": 1}, clause="keyset.shape")
    c.equal("keyset.shape", ids(second["items"]), expected[2:3], "before=next")
    both = await c.json(params={"limit": 1, "page": 2, "perPage": 1}, clause="keyset.wins")
    c.equal("keyset.wins", both.keys() - {"next"}, {"items"})
    c.equal("keyset.wins", ids(both["items"]), expected[:1], "?limit=1&page=2")


@web_check(
    "web/keyset-walk",
    "Following next neither skips nor repeats while rows are read, added and deleted",
    *("keyset.walk", "keyset.type", "keyset.wins"),
)
async def keyset_walk(c: WebContext) -> None:
    expected: list[str] = []
    for _ in range(4):
        expected = [*await c.sent_at_once(4), *expected]
        await c.sent(type=f"{c.type}.other")
    walked: list[str] = []
    query: dict[str, Any] = {"limit": 2, "type": c.type}
    for step in range(len(expected) + 1):
        part = await c.json(params={**query, **({"page": 3, "perPage": 1} if step % 2 else {})})
        c.equal("keyset.wins", set(part), {"items", "next"}, "with page and perPage beside before")
        c.equal("keyset.walk", len(part["items"]) <= query["limit"], True, f"limit=2 gave {len(part['items'])}")
        walked += ids(part["items"])
        if part["next"] is None:
            break
        query["before"] = part["next"]
        await c.ask("POST", f"/{walked[-1]}/read")
        if step % 2:
            await c.ask("DELETE", f"/{walked[-1]}")
        await c.sent(1)
    c.equal("keyset.walk", walked, expected, "of this type" if set(walked) <= set(expected) else "others among them")
    c.equal("keyset.walk", part["next"], None, "next of the last page")
    rest = await c.json(params={"before": query["before"], "page": 2, "type": c.type})
    c.equal("keyset.wins", rest.get("next", "none"), None, "next with before and page, without limit")


@web_check(
    "web/item", "An item has all its fields, and its times milliseconds and an offset", "item.fields", "item.times"
)
async def item(c: WebContext) -> None:
    [id] = await c.some()
    await c.ask("POST", f"/{id}/read")
    [read] = (await c.json(params={"limit": 1}))["items"]
    await c.ask("POST", f"/{id}/unread")
    for name in ("createdAt", "updatedAt", "readAt"):
        c.equal("item.times", bool(_TIME.fullmatch(str(read[name]))), True, f"{name}: {read[name]!r}")
    [shown] = (await c.json(params={"page": 1, "perPage": 1}))["items"]
    listed = (await c.json("/unread"))[0]
    for where, one in (("with limit", read), ("of a page", shown), ("of /unread", listed)):
        c.equal("item.fields", set(one), FIELDS, f"the fields {where}")
        c.equal("item.fields", one, shown | {"readAt": one["readAt"]}, f"the item {where}")


@web_check("web/item-data", "What was sent is shown as it was, and what there is not as null", "item.data", "item.null")
async def item_data(c: WebContext) -> None:
    data = {
        "text": "\u00e4\u2028\U0001f514 <b> &amp; & \"'\\",
        "n": 12.5,
        "nested": {"list": [1, None, True, ""]},
        "snake_case": {"in_side": 1},
        "camelCase": False,
        "when": "2026-01-01T00:00:00Z",
        "digits": "007",
        "null": None,
        "none": [],
        "empty": {},
        "spaces": " a  b ",
        "long": "\u00fc" * 9_000,
        "\u00fc key": 2**53 - 1,
    }
    await c.sent(data={})
    await c.sent(data=data)
    rich, empty = await c.own()
    listed = await c.json("/unread", params={"type": c.type})
    for items in ([rich, empty], (await c.json(params={"page": 1, "type": c.type}))["items"], listed):
        c.equal("item.data", [item["data"] for item in items], [data, {}])
    await c.ask("POST", f"/{rich['id']}/unread")
    c.equal("item.null", (rich["key"], rich["readAt"]), (None, None), "key and readAt")
    for name in ("tenantId", "actor", "traceId"):
        if not (rich[name] is None or rich[name]):
            raise c.broken("item.null", "null, or what it is", repr(rich[name]), name)


@web_check("web/item-version", "A notification that evolves keeps its id and raises its version", "item.version")
async def item_version(c: WebContext) -> None:
    await c.sent(key=c.type, data={"step": 1})
    [before] = await c.own()
    if before["key"] != c.type:
        raise NotOffered("keys (what sends for the kit did not keep the key it was given)")
    await c.sent(key=c.type, data={"step": 2})
    [after] = await c.own()
    c.equal("item.version", (after["id"], after["data"]), (before["id"], {"step": 2}))
    c.equal("item.version", after["version"] > before["version"], True, f"{after['version']} > {before['version']}")


@web_check(
    "web/paths", "Every path is answered itself, with a slash at its end too; others are 404 or 405 and do nothing",
    "routes.no-redirect", "routes.slash", "routes.others",
)  # fmt: skip
async def paths(c: WebContext) -> None:
    [id] = await c.some()
    await c.ask("POST", f"/{id}/unread")
    unread = await c.badge()
    others = [("GET", "/no/such/path"), ("PUT", ""), ("PATCH", ""), ("DELETE", "")]
    others += [("GET", path) for path in (f"/{id}/read", f"/{id}/unread", "/read-all")] + [("PUT", f"/{id}")]
    for method, path in others:
        answer = await c.ask(method, path)
        c.equal("routes.others", answer.status_code in (404, 405), True, f"{method} {path}: {answer.status_code}")
    c.equal("routes.others", await c.badge(), unread, "the count, which none of these may change")
    for slash, clause in (("", "routes.no-redirect"), ("/", "routes.slash")):
        for method, path, body, status in (
            ("GET", "", None, 200),
            ("GET", "/unread", None, 200),
            ("GET", "/unread/count", None, 200),
            ("POST", f"/{id}/read", None, 204),
            ("POST", f"/{id}/unread", None, 204),
            ("PATCH", "/read", {"ids": []}, 200),
            ("POST", "/read-all", None, 204),
            ("DELETE", f"/{new_id()}", None, 404),
        ):
            c.answered(clause, await c.ask(method, path + slash, json=body), status, f"of {method} {path}{slash}")
        async with c.stream(path=f"/stream{slash}") as stream:
            c.equal(clause, stream.status, 200, f"the status of GET /stream{slash}")


@web_check(
    "web/private",
    "Answers are kept by no cache that is shared, and are what they say they are",
    "answers.private",
    "answers.nosniff",
)
async def private(c: WebContext) -> None:
    [id] = await c.some()
    for method, path, body in (
        ("GET", "", None),
        ("GET", "?limit=1", None),
        ("GET", "/unread", None),
        ("GET", "/unread/count", None),
        ("GET", "?page=x", None),
        ("POST", f"/{id}/read", None),
        ("PATCH", "/read", {"ids": [id]}),
        ("POST", f"/{id}/unread", None),
        ("POST", f"/read-all?type={c.type}", None),
        ("PATCH", "/read", {"ids": "x"}),
        ("DELETE", f"/{new_id()}", None),
    ):
        for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"If-None-Match": "*"}):
            for who in (c.me, {}):
                answer = await c.ask(method, path, json=body, headers=headers, who=who)
                what = f"of {method} {path} with {headers}: {answer.status_code}"
                directives = {part.strip() for part in answer.headers.get("cache-control", "").split(",")}
                c.equal("answers.private", directives, {"private", "no-cache"}, f"Cache-Control {what}")
                nosniff = answer.headers.get("x-content-type-options")
                c.equal("answers.nosniff", nosniff, "nosniff", f"X-Content-Type-Options {what}")
    async with c.stream() as stream:
        c.equal("answers.nosniff", stream.headers.get("x-content-type-options"), "nosniff", "of the stream")


@web_check("web/element", "The custom element is JavaScript", "element.served")
async def element(c: WebContext) -> None:
    answer = await c.ask("GET", "/notistore-inbox.js", who={})
    if answer.status_code == 404:
        raise NotOffered("the custom element")
    c.answered("element.served", answer, 200)
    kind = answer.headers.get("content-type", "").partition(";")[0]
    c.equal("element.served", kind in ("text/javascript", "application/javascript"), True, f"the type {kind!r}")
    c.equal("element.served", "notistore-inbox" in answer.text, True, "that it defines <notistore-inbox>")
