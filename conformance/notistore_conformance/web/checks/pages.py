"""Reading the inbox: pages, keyset pages, and what an item is."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from ...context import NotOffered
from ..registry import web_check
from ..visit import Visit

FIELDS: Final = {
    *("id", "type", "notifiableType", "notifiableId", "tenantId", "key", "data", "actor", "traceId", "version"),
    *("readAt", "createdAt", "updatedAt"),
}
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)")


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


@web_check("web/page", "A page is items and what there is in all", "page.shape", "page.default")
async def page(v: Visit) -> None:
    await v.some(3)
    body = await v.json(params={"page": 1, "perPage": 2}, clause="page.shape")
    v.equal("page.shape", set(body), {"items", "meta"})
    v.equal("page.shape", set(body["meta"]), {"page", "perPage", "total", "lastPage"}, "meta")
    meta = body["meta"]
    v.equal("page.shape", len(body["items"]), 2, "items of a page of 2")
    v.equal("page.shape", (meta["page"], meta["perPage"]), (1, 2), "meta")
    v.equal("page.shape", meta["lastPage"], -(-meta["total"] // 2), "lastPage, which follows from total")
    last = await v.json(params={"page": meta["lastPage"], "perPage": 2}, clause="page.shape")
    v.equal("page.shape", len(last["items"]), 2 - meta["total"] % 2, "items of the last page")
    beyond = await v.json(params={"page": meta["lastPage"] + 1, "perPage": 2}, clause="page.shape")
    v.equal("page.shape", (beyond["items"], beyond["meta"]["total"]), ([], meta["total"]), "past the last page")
    plain = (await v.json(clause="page.default"))["meta"]
    v.equal("page.default", (plain["page"], plain["perPage"]), (1, 20))


@web_check("web/newest-first", "Items are newest first, on every page", "page.order")
async def newest_first(v: Visit) -> None:
    await v.some(3)
    items = (await v.json(params={"perPage": 100}))["items"]
    places = [(datetime.fromisoformat(item["createdAt"]), item["id"]) for item in items]
    v.equal("page.order", places, sorted(places, reverse=True), "createdAt and id")
    paged = [(await v.json(params={"page": n, "perPage": 1}))["items"][0]["id"] for n in (1, 2, 3)]
    v.equal("page.order", paged, ids(items)[:3], "three pages of one")


@web_check("web/caps", "Pages and the unread array hold at most 100", "page.cap", "unread.cap")
async def caps(v: Visit) -> None:
    await v.sent(101)
    body = await v.json(params={"perPage": 1000, "type": v.type})
    v.equal("page.cap", (body["meta"]["perPage"], len(body["items"])), (100, 100), "perPage and items")
    v.equal("page.cap", body["meta"]["total"], 101, "total")
    v.equal("unread.cap", len(await v.json("/unread", params={"type": v.type})), 100)


@web_check("web/types", "?type= filters pages of both kinds and their totals", "page.type", "keyset.type")
async def types(v: Visit) -> None:
    a, b, upper = f"{v.type}.a", f"{v.type}.b", f"{v.type}.A"
    [one] = await v.sent(type=a)
    [two] = await v.sent(type=b)
    [three] = await v.sent(type=upper)
    for query, expected in ((a, [one]), (f"{a},{b}", [two, one]), (upper, [three]), (f"{v.type}.c", [])):
        numbered = await v.json(params={"page": 1, "type": query})
        v.equal("page.type", ids(numbered["items"]), expected, f"?type={query}")
        v.equal("page.type", numbered["meta"]["total"], len(expected), f"the total of ?type={query}")
        keyset = await v.json(params={"limit": 9, "type": query})
        v.equal("keyset.type", ids(keyset["items"]), expected, f"?limit=9&type={query}")


@web_check(
    "web/keyset", "Keyset pages are items and next, whatever page and perPage say", "keyset.shape", "keyset.wins"
)
async def keyset(v: Visit) -> None:
    expected = await v.some(3)
    first = await v.json(params={"limit": 2}, clause="keyset.shape")
    v.equal("keyset.shape", set(first), {"items", "next"})
    v.equal("keyset.shape", ids(first["items"]), expected[:2], "?limit=2")
    second = await v.json(params={"before": first["next"], "limit": 1}, clause="keyset.shape")
    v.equal("keyset.shape", ids(second["items"]), expected[2:3], "before=next")
    both = await v.json(params={"limit": 1, "page": 2, "perPage": 1}, clause="keyset.wins")
    v.equal("keyset.wins", both.keys() - {"next"}, {"items"})
    v.equal("keyset.wins", ids(both["items"]), expected[:1], "?limit=1&page=2")


@web_check("web/keyset-walk", "Following next neither skips nor repeats while rows are read and added", "keyset.walk")
async def keyset_walk(v: Visit) -> None:
    expected = await v.sent(9)
    walked: list[str] = []
    query: dict[str, Any] = {"limit": 2, "type": v.type}
    for _ in range(len(expected) + 1):
        part = await v.json(params=query)
        walked += ids(part["items"])
        if part["next"] is None:
            break
        query["before"] = part["next"]
        await v.ask("POST", f"/{walked[-1]}/read")
        await v.sent(1)
    v.equal("keyset.walk", walked, expected)
    v.equal("keyset.walk", part["next"], None, "next of the last page")


@web_check(
    "web/item", "An item has all its fields, and its times milliseconds and an offset", "item.fields", "item.times"
)
async def item(v: Visit) -> None:
    [id] = await v.some()
    await v.ask("POST", f"/{id}/read")
    [shown] = (await v.json(params={"limit": 1}))["items"]
    v.equal("item.fields", set(shown), FIELDS)
    for name in ("createdAt", "updatedAt", "readAt"):
        v.equal("item.times", bool(_TIME.fullmatch(str(shown[name]))), True, f"{name}: {shown[name]!r}")


@web_check("web/item-data", "What was sent is shown as it was, and what there is not as null", "item.data", "item.null")
async def item_data(v: Visit) -> None:
    data = {"text": "\u00e4\u2028\U0001f514 <b>", "n": 12.5, "nested": {"list": [1, None, True, ""]}}
    await v.sent(data={})
    await v.sent(data=data)
    rich, empty = await v.own()
    v.equal("item.data", (rich["data"], empty["data"]), (data, {}))
    await v.ask("POST", f"/{rich['id']}/unread")
    v.equal("item.null", (rich["key"], rich["readAt"]), (None, None), "key and readAt")
    for name in ("tenantId", "actor", "traceId"):
        if not (rich[name] is None or rich[name]):
            raise v.broken("item.null", "null, or what it is", repr(rich[name]), name)


@web_check("web/item-version", "A notification that evolves keeps its id and raises its version", "item.version")
async def item_version(v: Visit) -> None:
    await v.sent(key=v.type, data={"step": 1})
    [before] = await v.own()
    if before["key"] != v.type:
        raise NotOffered("keys (what sends for the kit did not keep the key it was given)")
    await v.sent(key=v.type, data={"step": 2})
    [after] = await v.own()
    v.equal("item.version", (after["id"], after["data"]), (before["id"], {"step": 2}))
    v.equal("item.version", after["version"] > before["version"], True, f"{after['version']} > {before['version']}")


@web_check("web/paths", "Every path is answered itself; others are 404 or 405", "routes.no-redirect", "routes.others")
async def paths(v: Visit) -> None:
    for path in ("", "/unread", "/unread/count"):
        v.answered("routes.no-redirect", await v.ask("GET", path), 200)
    for method, path in (("GET", "/no/such/path"), ("PUT", ""), ("GET", "/read-all"), ("PATCH", "")):
        answer = await v.ask(method, path)
        v.equal("routes.others", answer.status_code in (404, 405), True, f"{method} {path}: {answer.status_code}")


@web_check("web/private", "Answers are kept by no one else's cache", "answers.private")
async def private(v: Visit) -> None:
    [id] = await v.some()
    for method, path, body in (
        ("GET", "", None),
        ("GET", "?limit=1", None),
        ("GET", "/unread", None),
        ("GET", "/unread/count", None),
        ("GET", "?page=x", None),
        ("POST", f"/{id}/read", None),
        ("PATCH", "/read", {"ids": [id]}),
        ("DELETE", "/00000000-0000-7000-8000-000000000000", None),
    ):
        answer = await v.ask(method, path, json=body)
        told = {part.strip() for part in answer.headers.get("cache-control", "").split(",")}
        v.equal("answers.private", told, {"private", "no-cache"}, f"{method} {path}")


@web_check("web/element", "The custom element is JavaScript", "element.served")
async def element(v: Visit) -> None:
    answer = await v.ask("GET", "/notistore-inbox.js")
    if answer.status_code == 404:
        raise NotOffered("the custom element")
    v.answered("element.served", answer, 200)
    kind = answer.headers.get("content-type", "").partition(";")[0]
    v.equal("element.served", kind in ("text/javascript", "application/javascript"), True, f"the type {kind!r}")
    v.equal("element.served", "notistore-inbox" in answer.text, True, "that it defines <notistore-inbox>")
