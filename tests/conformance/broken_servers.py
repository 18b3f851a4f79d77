"""Servers that each break one promise of the wire: the correct app behind a middleware that changes one thing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notistore import Inbox
from tests.web.mounts import user_of

Break: TypeAlias = Callable[[ASGIApp], ASGIApp]
When: TypeAlias = Callable[[Scope], bool]

SEND = "/test/send"


def with_send(app: ASGIApp, inbox: Inbox) -> ASGIApp:
    """The app, with a route through which the kit sends notifications."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != SEND:
            await app(scope, receive, send)
            return
        request = Request(scope, receive)
        recipient, given = user_of(request), await request.json()
        assert recipient is not None
        sent = await inbox.send(recipient, given["type"], given["data"], key=given["key"])
        await JSONResponse({"id": sent.id})(scope, receive, send)

    return served


# Conditions on requests


def at(path: str, method: str | None = None) -> When:
    """Requests whose path below the mount matches this regular expression."""

    def when(scope: Scope) -> bool:
        below = scope["path"].partition("/notifications")[2]
        return re.fullmatch(path, below) is not None and method in (None, scope["method"])

    return when


def always(scope: Scope) -> bool:
    return not at("/stream")(scope)


def has_parameters(*names: str) -> When:
    return lambda scope: all(f"{name}=" in scope["query_string"].decode() for name in names)


def both(*conditions: When) -> When:
    return lambda scope: all(condition(scope) for condition in conditions)


MARK = at("/[^/]+/(read|unread)", "POST")
PAGE = at("", "GET")
COUNT = at("/unread/count")
STREAM = at("/stream")


# Changes of requests and responses


def edit_request(change: Callable[[Scope], Scope], when: When = lambda scope: True) -> Break:
    """Change requests before the app gets them."""

    def broken(app: ASGIApp) -> ASGIApp:
        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            await app(change(scope) if scope["type"] == "http" and when(scope) else scope, receive, send)

        return served

    return broken


def without(name: str, when: When = lambda scope: True) -> Break:
    """Remove a request header."""
    return edit_request(
        lambda scope: scope | {"headers": [(k, v) for k, v in scope["headers"] if k != name.encode()]}, when
    )


def as_user(id: str, when: When) -> Break:
    """Make every request this user's."""
    others = without("x-user", when)
    added = edit_request(lambda scope: scope | {"headers": [*scope["headers"], (b"x-user", id.encode())]}, when)
    return lambda app: others(added(app))


def query(when: When = lambda scope: True, *, drop: str = "", **add: str) -> Break:
    """Remove or add query parameters."""

    def change(scope: Scope) -> Scope:
        pairs = [(k, v) for k, v in parse_qsl(scope["query_string"].decode(), keep_blank_values=True) if k != drop]
        return scope | {"query_string": urlencode([*pairs, *add.items()]).encode()}

    return edit_request(change, when)


def edit_response(
    when: When,
    *,
    status: Callable[[int], int] = lambda status: status,
    headers: dict[str, str] | None = None,
    body: Callable[[bytes], bytes] = lambda body: body,
) -> Break:
    """Change complete responses."""

    def broken(app: ASGIApp) -> ASGIApp:
        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not when(scope):
                await app(scope, receive, send)
                return
            start: Message = {}
            read = b""

            async def keep(message: Message) -> None:
                nonlocal start, read
                if message["type"] == "http.response.start":
                    start = message
                    return
                read += message.get("body", b"")
                if message.get("more_body"):
                    return
                new = status(start["status"])
                changed = b"" if new == 204 else body(read)
                kept = {k.decode(): v.decode() for k, v in start["headers"] if k != b"content-length"}
                await Response(changed, new, {**kept, **(headers or {})})(scope, receive, send)

            await app(scope, receive, keep)

        return served

    return broken


def status(old: int, new: int, when: When = always) -> Break:
    return edit_response(when, status=lambda status: new if status == old else status)


def text(old: str, new: str, when: When = always) -> Break:
    return edit_response(when, body=lambda body: body.replace(old.encode(), new.encode()))


def edit_json(when: When, edit: Callable[[Any], Any]) -> Break:
    """Change JSON responses other than errors."""

    def change(body: bytes) -> bytes:
        value = json.loads(body) if body else None
        return (
            body
            if value is None or (isinstance(value, dict) and "detail" in value)
            else json.dumps(edit(value)).encode()
        )

    return edit_response(when, body=change)


def items(when: When, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Break:
    return edit_json(when, lambda page: page | {"items": [edit(item) for item in page["items"]]})


def respond_without_calling(when: When, status: int = 204) -> Break:
    """Respond with this status without calling the app."""

    def broken(app: ASGIApp) -> ASGIApp:
        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and when(scope):
                await Response(status_code=status)(scope, receive, send)
            else:
                await app(scope, receive, send)

        return served

    return broken


def frames(edit: Callable[[str], str]) -> Break:
    """Change each frame of a stream; "" removes it."""

    def broken(app: ASGIApp) -> ASGIApp:
        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            async def changed(message: Message) -> None:
                if message["type"] == "http.response.body":
                    parts = message.get("body", b"").decode().split("\n\n")
                    edit_json = [edit(part + "\n\n") for part in parts[:-1]]
                    message = message | {"body": "".join([*edit_json, parts[-1]]).encode()}
                await send(message)

            await app(scope, receive, changed if scope["type"] == "http" and STREAM(scope) else send)

        return served

    return broken


def replaced(old: str, new: str) -> Break:
    return frames(lambda frame: re.sub(old, new, frame))


def once(app: ASGIApp) -> ASGIApp:
    """A repeated mark is a 404."""
    marked: set[str] = set()

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and MARK(scope):
            if scope["path"] in marked:
                await Response(status_code=404)(scope, receive, send)
                return
            marked.add(scope["path"])
        await app(scope, receive, send)

    return served


def stream_header(app: ASGIApp) -> ASGIApp:
    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            if "headers" in message:
                message = message | {"headers": [(k, v) for k, v in message["headers"] if k != b"x-accel-buffering"]}
            await send(message)

        await app(scope, receive, changed)

    return served


def skipping(page: dict[str, Any]) -> dict[str, Any]:
    return page | {"items": page["items"][1:]}


def more(name: str, by: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda answer: answer | {name: answer[name] + by}


def meta(**changed: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda page: page | {"meta": page["meta"] | changed}


def same_site(scope: Scope) -> Scope:
    worse = [(k, b"cross-site" if v == b"same-site" else v) for k, v in scope["headers"]]
    return scope | {"headers": worse}


def ten_at_most(app: ASGIApp) -> ASGIApp:
    """Of a change, only the first ten marks have a frame."""
    marks = 0

    def edit(frame: str) -> str:
        nonlocal marks
        marks = marks + 1 if frame.startswith("event: read") else 0
        return "" if marks > 10 else frame

    return frames(edit)(app)


NUMBERED = both(PAGE, lambda scope: b"limit" not in scope["query_string"])
KEYSET = both(PAGE, has_parameters("limit"))

BROKEN: dict[str, Break] = {
    "routes.no-redirect": edit_response(
        COUNT, status=lambda _: 307, headers={"location": "/notifications/unread/count/"}
    ),
    "routes.others": status(404, 200, at("/no/such/path")),
    "routes.slash": edit_request(
        lambda scope: scope | {"path": f"{scope['path']}none"}, lambda scope: scope["path"][-1] == "/"
    ),
    "page.shape": text('"lastPage"', '"pages"'),
    "page.default": query(both(PAGE, lambda scope: not scope["query_string"]), perPage="50"),
    "page.order": edit_json(NUMBERED, lambda page: page | {"items": page["items"][::-1]}),
    "page.cap": edit_json(both(NUMBERED, has_parameters("perPage")), meta(perPage=1000)),
    "page.floor": edit_json(both(NUMBERED, has_parameters("page", "perPage")), meta(page=0)),
    "page.type": edit_json(both(NUMBERED, has_parameters("type")), meta(total=99)),
    "keyset.shape": text('"next"', '"cursor"'),
    "keyset.walk": edit_json(both(KEYSET, has_parameters("before")), skipping),
    "keyset.type": query(KEYSET, drop="type"),
    "keyset.wins": query(both(KEYSET, has_parameters("page")), drop="limit"),
    "unread.list": edit_json(both(at("/unread"), lambda scope: not scope["query_string"]), lambda listed: listed[::-1]),
    "unread.type": query(at("/unread"), drop="type"),
    "unread.cap": edit_json(at("/unread"), lambda listed: listed * 2),
    "count.value": edit_json(both(COUNT, lambda scope: not scope["query_string"]), lambda _: {"count": 7}),
    "count.max": query(COUNT, drop="max"),
    "count.type": query(COUNT, drop="type"),
    "count.etag": without("if-none-match"),
    "mark.read": respond_without_calling(at("/[^/]+/read", "POST")),
    "mark.unread": respond_without_calling(at("/[^/]+/unread", "POST")),
    "mark.repeats": once,
    "mark.not-yours": as_user("42", MARK),
    "many.updated": edit_json(at("/read", "PATCH"), more("updated", 1)),
    "read-all.marks": respond_without_calling(at("/read-all", "POST")),
    "read-all.type": query(at("/read-all"), drop="type"),
    "read-all.seen": query(at("/read-all"), drop="seen"),
    "delete.removes": respond_without_calling(at("/[^/]+", "DELETE")),
    "delete.again": status(404, 204, at("/[^/]+", "DELETE")),
    "delete.not-yours": as_user("42", at("/[^/]+", "DELETE")),
    "stream.headers": stream_header,
    "element.served": edit_response(at("/notistore-inbox.js"), headers={"content-type": "text/plain"}),
    "answers.private": edit_response(always, headers={"cache-control": "public, max-age=60"}),
    "answers.nosniff": edit_response(always, headers={"x-content-type-options": "sniff"}),
    "answers.current": respond_without_calling(at("/[^/]+/read", "POST")),
    "inbox.own": as_user("42", COUNT),
    "item.fields": text('"traceId"', '"trace"'),
    "item.data": text("\\u2028", " "),
    "item.null": items(PAGE, lambda item: item | {"key": item["key"] or ""}),
    "item.times": edit_response(PAGE, body=lambda body: re.sub(rb"\.\d{3}\+00:00", b"Z", body)),
    "item.version": items(PAGE, lambda item: item | {"version": 1}),
    "errors.problem": text('"status"', '"code"'),
    "errors.recipient": status(401, 403),
    "errors.garbage": status(422, 400),
    "errors.large": status(413, 400),
    "cross-site.refused": without("sec-fetch-site"),
    "cross-site.origin": without("origin"),
    "cross-site.same": edit_request(same_site),
    "frames.lines": replaced("\n", "\r\n"),
    "frames.count": replaced(r"id: \d+\n", ""),
    "frames.resumed": without("last-event-id"),
    "frames.item": replaced(r'"version":\d+,', ""),
    "frames.yours": as_user("43", STREAM),
    "frames.read": replaced("readAt", "at"),
    "frames.all-read": replaced('"notificationId":null', '"notificationId":"*"'),
    "frames.unread": replaced("event: unread", "event: read"),
    "frames.delete": frames(lambda frame: "" if "event: delete" in frame else frame),
    "frames.empty": frames(lambda frame: "" if frame == "event: notification\ndata:\n\n" else frame),
    "frames.many": ten_at_most,
    "frames.filtered": query(at("/read-all"), drop="type"),
    "degraded.cap": replaced(r"(retry: 30000\ndata: ).*", r'\1{"count":-1}'),
}
"""Promise id to what breaks it."""
