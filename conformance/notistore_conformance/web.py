"""The wire of docs/wire.md, checked from outside: any server, in any language, that says it mounts an inbox."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, Final, TypeAlias

try:
    import httpx
except ImportError as error:
    raise ImportError(f'check_web needs httpx: pip install "notistore[conformance]" ({error})') from error

from notistore.ids import new_id

from .context import Broken, NotRun
from .registry import CONTRACT
from .report import About, Outcome, Report, Result

__all__ = ["WEB_CHECKS", "check_web"]

Headers: TypeAlias = Mapping[str, str]

FIELDS: Final = {
    *("id", "type", "notifiableType", "notifiableId", "tenantId", "key", "data", "actor", "traceId", "version"),
    *("readAt", "createdAt", "updatedAt"),
}
_TIMEOUT: Final = 15.0  # seconds for one check


class Visit:
    """One check's requests, as the first of two recipients who see inboxes of their own."""

    def __init__(self, base_url: str, me: Headers, other: Headers, path: str) -> None:
        self.me, self.other, self.path = me, other, path
        self.http = httpx.AsyncClient(base_url=base_url, timeout=_TIMEOUT, follow_redirects=False)
        self.done: list[str] = []

    async def ask(self, method: str, path: str = "", *, who: Headers | None = None, **request: Any) -> httpx.Response:
        """One request below the mount's path; `who` is the first recipient unless it is given."""
        headers = {**(self.me if who is None else who), **request.pop("headers", {})}
        answer = await self.http.request(method, f"{self.path}{path}", headers=headers, **request)
        self.done.append(f"{method} {answer.request.url.raw_path.decode()} -> {answer.status_code}")
        return answer

    async def json(self, path: str = "", **request: Any) -> Any:
        """What a GET answers, which has to be 200 and JSON."""
        answer = await self.ask("GET", path, **request)
        self.expect("GET is answered with 200 and JSON", answer.status_code, 200)
        return answer.json()

    async def ids(self, number: int) -> list[str]:
        """The newest ids of the inbox; a server with fewer cannot be checked."""
        items = (await self.json(params={"page": 1, "perPage": number}))["items"]
        if len(items) < number:
            raise NotRun(f"the first identity's inbox has to hold {number} notifications, it holds {len(items)}")
        return [item["id"] for item in items]

    async def unread(self) -> Any:
        return (await self.json("/unread/count"))["count"]

    def expect(self, promise: str, got: object, expected: object) -> None:
        if got != expected:
            lines = ["done:", *(f"    {line}" for line in self.done), "promised:", f"    {promise}"]
            raise Broken("\n".join([*lines, "expected:", f"    {expected!r}", "came back:", f"    {got!r}"]))


Body: TypeAlias = Callable[[Visit], Awaitable[None]]
WEB_CHECKS: Final[dict[str, tuple[str, Body]]] = {}
"""Id to the behaviour in one line, and what checks it."""


def web_check(id: str, title: str) -> Callable[[Body], Body]:
    def register(body: Body) -> Body:
        WEB_CHECKS[id] = title, body
        return body

    return register


async def check_web(base_url: str, identities: Sequence[Headers], *, path: str = "/notifications") -> Report:
    """Check the inbox a server mounts, through HTTP alone.

    Args:
        base_url: what the mount's path begins at, such as "https://staging.example/api".
        identities: the request headers of two different recipients. The first one's inbox holds three notifications
            or more; they are marked to and fro, and none is deleted.
        path: where the inbox is mounted below `base_url`.
    """
    results = [await run_web_check(id, base_url, identities, path) for id in WEB_CHECKS]
    return Report(about_web(base_url), results, len(WEB_CHECKS))


def about_web(base_url: str) -> About:
    return About(base_url, "web", CONTRACT, metadata.version("notistore"), None, None, 0)


async def run_web_check(id: str, base_url: str, identities: Sequence[Headers], path: str) -> Result:
    """Run one check and return its result; ValueError unless there are two identities."""
    if len(identities) != 2:
        raise ValueError(f"expected the headers of two recipients, got {len(identities)}")
    me, other = identities
    title, body = WEB_CHECKS[id]
    started = time.perf_counter()
    outcome, message = Outcome.PASSED, ""
    visit = Visit(base_url, me, other, path)
    try:
        async with visit.http, asyncio.timeout(_TIMEOUT):
            await body(visit)
    except NotRun as reason:
        outcome, message = Outcome.NOT_RUN, str(reason)
    except Broken as broken:
        outcome, message = Outcome.FAILED, f"{id}: {title}\n{broken}"
    except Exception as error:
        done = "\n".join(f"    {line}" for line in visit.done)
        outcome, message = Outcome.FAILED, f"{id}: {title}\ndone:\n{done}\nraised:\n    {type(error).__name__}: {error}"
    return Result(id, title, ("docs/wire.md",), outcome, message, time.perf_counter() - started)


@web_check("web/page", "A page is items, newest first, and what there is in all")
async def page(v: Visit) -> None:
    await v.ids(3)
    answer = await v.ask("GET", params={"page": 1, "perPage": 2})
    v.expect("answers are Cache-Control: private, no-cache", answer.headers.get("cache-control"), "private, no-cache")
    items, meta = answer.json()["items"], answer.json()["meta"]
    v.expect("an item has these fields", set(items[0]), FIELDS)
    v.expect("`data` is an object", type(items[0]["data"]), dict)
    v.expect("`perPage` items at most", len(items), 2)
    v.expect("meta tells the page", (meta["page"], meta["perPage"]), (1, 2))
    v.expect("lastPage follows from total", meta["lastPage"], -(-meta["total"] // 2))
    places = [(item["createdAt"], item["id"]) for item in items]
    v.expect("newest first by createdAt and id", places, sorted(places, reverse=True))
    capped = await v.json(params={"page": 1, "perPage": 1000})
    v.expect("perPage above 100 is 100", capped["meta"]["perPage"], 100)


@web_check("web/keyset", "Keyset pages walk through the same items")
async def keyset(v: Visit) -> None:
    expected, walked = await v.ids(3), []
    query = {"limit": 1}
    for _ in expected:
        part = await v.json(params=query)
        v.expect("a keyset page is {items, next}", set(part), {"items", "next"})
        walked += [item["id"] for item in part["items"]]
        query = {"limit": 1, "before": part["next"]}
    v.expect("`next` leads to the next older item", walked, expected)


@web_check("web/garbage", "What cannot be understood is 422, as a problem that names the field")
async def garbage(v: Visit) -> None:
    for query in ({"page": "x"}, {"page": 1, "perPage": "-1"}, {"before": "yesterday"}):
        answer = await v.ask("GET", params=query)
        v.expect(f"422 for {query}", answer.status_code, 422)
        kind = answer.headers.get("content-type", "").partition(";")[0]
        v.expect("errors are problem+json", kind, "application/problem+json")
        v.expect("the field is named", answer.json().get("field"), list(query)[-1])


@web_check("web/no-recipient", "Without an identity every route is 401")
async def no_recipient(v: Visit) -> None:
    [id] = await v.ids(1)
    for method, path in (("GET", ""), ("GET", "/unread/count"), ("POST", f"/{id}/read"), ("DELETE", f"/{id}")):
        v.expect("401 for no recipient", (await v.ask(method, path, who={})).status_code, 401)


@web_check("web/marks", "Marks are 204 and may be repeated, and the count follows")
async def marks(v: Visit) -> None:
    [id] = await v.ids(1)
    for verb in ("read", "unread", "unread"):
        v.expect("204, repeats too", (await v.ask("POST", f"/{id}/{verb}")).status_code, 204)
    unread = await v.unread()
    for _ in range(2):
        v.expect("204, repeats too", (await v.ask("POST", f"/{id}/read")).status_code, 204)
        v.expect("one less is unread", await v.unread(), unread - 1)
    [item] = (await v.json(params={"limit": 1}))["items"]
    v.expect("a read item has a readAt", item["readAt"] is not None, True)


@web_check("web/not-yours", "Another's id is 404, as an unknown one is, and nothing of theirs changes")
async def not_yours(v: Visit) -> None:
    [id] = await v.ids(1)
    await v.ask("POST", f"/{id}/unread")
    unread = await v.unread()
    answers = []
    for target, who in ((id, v.other), (new_id(), v.me)):
        for method, path in (("POST", f"/{target}/read"), ("POST", f"/{target}/unread"), ("DELETE", f"/{target}")):
            answer = await v.ask(method, path, who=who)
            v.expect("404 for an id that is unknown or another's", answer.status_code, 404)
            answers.append(answer.json().get("detail", "").replace(target, "ID"))
    v.expect("both are told in the same words", answers[:3], answers[3:])
    v.expect("the owner's inbox is as it was", (await v.unread(), (await v.ids(1))[0]), (unread, id))


@web_check("web/many", "PATCH read marks many and tells how many; read-all marks the rest")
async def many(v: Visit) -> None:
    ids = await v.ids(3)
    for id in ids:
        await v.ask("POST", f"/{id}/unread")
    answer = await v.ask("PATCH", "/read", json={"ids": [*ids[:2], ids[0], new_id()]})
    v.expect("`updated` counts each once", (answer.status_code, answer.json()), (200, {"updated": 2}))
    v.expect("read-all is 204", (await v.ask("POST", "/read-all")).status_code, 204)
    v.expect("and nothing is unread", (await v.unread(), await v.json("/unread")), (0, []))


@web_check("web/etag", "An unchanged count is 304, a changed one is not")
async def etag(v: Visit) -> None:
    [id] = await v.ids(1)
    await v.ask("POST", f"/{id}/unread")
    tag = {"If-None-Match": (await v.ask("GET", "/unread/count")).headers.get("etag", "")}
    v.expect("304 while it is the same", (await v.ask("GET", "/unread/count", headers=tag)).status_code, 304)
    await v.ask("POST", f"/{id}/read")
    v.expect("200 once it is not", (await v.ask("GET", "/unread/count", headers=tag)).status_code, 200)


@web_check("web/cross-site", "An unsafe request from a page of another site is 403 and does nothing")
async def cross_site(v: Visit) -> None:
    [id] = await v.ids(1)
    await v.ask("POST", f"/{id}/unread")
    unread = await v.unread()
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.invalid"}
    v.expect("403 across sites", (await v.ask("POST", f"/{id}/read", headers=foreign)).status_code, 403)
    v.expect("nothing is marked", await v.unread(), unread)


@web_check("web/stream", "A stream begins with the count, and a mark is told on it")
async def stream(v: Visit) -> None:
    [id] = await v.ids(1)
    await v.ask("POST", f"/{id}/unread")
    unread = await v.unread()
    async with v.http.stream("GET", f"{v.path}/stream", headers=v.me) as answer:
        v.done.append(f"GET {v.path}/stream -> {answer.status_code}")
        kind = answer.headers.get("content-type", "").partition(";")[0]
        v.expect("text/event-stream", (answer.status_code, kind), (200, "text/event-stream"))
        v.expect("not to be buffered", answer.headers.get("x-accel-buffering"), "no")
        seen, marked = b"", False
        async for chunk in answer.aiter_raw():
            seen += chunk
            v.expect("line ends are LF only", b"\r" in seen, False)
            if b"\n\n" in seen and not marked:
                first = seen.split(b"\n\n")[0].decode().split("\n")
                told = [json.loads(line[5:]) for line in first if line.startswith("data:")]
                v.expect("first the count", told, [{"count": unread}])
                marked = bool(await v.ask("POST", f"/{id}/read"))
            if b"event: read\n" in seen and seen.endswith((b"data:\n\n", b"data: \n\n")):
                break
    v.expect("the frame names the notification", f'"notificationId":"{id}"' in seen.decode().replace(" ", ""), True)
