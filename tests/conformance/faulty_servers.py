"""Servers with the faults that real ones have, written from docs/wire.md alone: before the checks that catch them.

`broken_servers.py` shows that each promise has a check; these show how much a check lets pass.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notistore import Inbox, MemoryStore, Notification, Recipient, SseHub
from tests.web.mounts import standalone

from .broken_servers import (
    COUNT,
    KEYSET,
    NUMBERED,
    PAGE,
    STREAM,
    Break,
    When,
    always,
    as_user,
    at,
    both,
    edit_json,
    edit_request,
    edit_response,
    frames,
    has_parameters,
    items,
    query,
    replaced,
    status,
    with_send,
    without,
)

READ = at("/[^/]+/read", "POST")
UNREAD = at("/[^/]+/unread", "POST")
MANY = at("/read", "PATCH")
READ_ALL = at("/read-all", "POST")
DELETE = at("/[^/]+", "DELETE")
LIST = at("/unread", "GET")


class Fault(NamedTuple):
    """A promise of the wire, and the factory of a server that breaks it."""

    promise: str
    serve: Callable[[], ASGIApp]


def on(
    *breaks: Break, store: type[MemoryStore] = MemoryStore, hub: Callable[[], SseHub] = SseHub, **options: Any
) -> Callable[[], ASGIApp]:
    """A factory of the complete app over this store, behind these middlewares."""

    def serve() -> ASGIApp:
        inbox = Inbox(store(), hub())
        app = with_send(standalone(inbox, **options), inbox)
        for broken in breaks:
            app = broken(app)
        return app

    return serve


def not_(condition: When) -> When:
    return lambda scope: not condition(scope)


def has(name: str, scope: Scope) -> str | None:
    return next((value.decode() for key, value in scope["headers"] if key == name.encode()), None)


async def whole(app: ASGIApp, scope: Scope, receive: Receive) -> list[Message]:
    """The complete response of an app."""
    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, keep)
    return sent


async def body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def given(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    return receive


def around(when: When, served: Callable[[ASGIApp, Scope, Receive, Send], Any]) -> Break:
    """Serve these requests with a function."""

    def broken(app: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and when(scope):
                await served(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return serve

    return broken


# Caches


def cached(when: When, *, by_user: bool, forgets: When) -> Break:
    """Serve GETs from a cache, which some requests of any user clear."""

    def broken(app: ASGIApp) -> ASGIApp:
        kept: dict[Any, list[Message]] = {}

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not (
                when(scope) and has("x-user", scope) and not has("if-none-match", scope)
            ):
                await app(scope, receive, send)
                if scope["type"] == "http" and forgets(scope):
                    kept.clear()
                return
            key = (scope["path"], scope["query_string"], has("x-user", scope) if by_user else None)
            if key not in kept:
                kept[key] = await whole(app, scope, receive)
            for message in kept[key]:
                await send(message)

        return serve

    return broken


def unsafe(scope: Scope) -> bool:
    return scope["method"] not in ("GET", "HEAD")


def cached_until(when: When, *, all_but: When) -> Break:
    """Serve GETs from a cache per user, which every change clears except these."""
    return cached(when, by_user=True, forgets=both(unsafe, not_(all_but)))


def remembers_user(app: ASGIApp) -> ASGIApp:
    """The user is in a global variable, which a concurrent request overwrites."""
    current: list[tuple[bytes, bytes]] = []

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not always(scope) or not has("x-user", scope):
            await app(scope, receive, send)
            return
        current[:] = [pair for pair in scope["headers"] if pair[0] == b"x-user"]
        await asyncio.sleep(0.02)
        rest = [pair for pair in scope["headers"] if pair[0] != b"x-user"]
        await app(scope | {"headers": [*rest, *current]}, receive, send)

    return serve


# Forged requests


def unguarded(when: When) -> Break:
    """These routes do not check for cross-site requests."""
    return lambda app: without("sec-fetch-site", when)(without("origin", when)(app))


def origin_matches(matches: Callable[[str, str], bool], when: When = unsafe) -> Break:
    """A matching Origin is treated as the host's own."""

    def change(scope: Scope) -> Scope:
        origin, host = has("origin", scope), has("host", scope) or ""
        if origin is None or has("sec-fetch-site", scope) is not None or not matches(origin, host):
            return scope
        return scope | {"headers": [(k, v) for k, v in scope["headers"] if k != b"origin"]}

    return edit_request(change, when)


def own_origin_first(scope: Scope) -> Scope:
    """The Host's own Origin is accepted whatever Sec-Fetch-Site is."""
    if (has("origin", scope) or "").partition("://")[2] != has("host", scope):
        return scope
    return scope | {"headers": [(k, v) for k, v in scope["headers"] if k != b"sec-fetch-site"]}


async def does_then_refuses(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    body = await body_of(receive)
    answer = await whole(app, scope, given(body))
    if answer[0]["status"] == 403:
        trusted = scope | {"headers": [(k, v) for k, v in scope["headers"] if k not in (b"origin", b"sec-fetch-site")]}
        await whole(app, trusted, given(body))
    for message in answer:
        await send(message)


def by_get(scope: Scope) -> Scope:
    """A GET marks."""
    return scope | {"method": "POST"}


# Bodies


async def first_chunk(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await app(scope, given(message.get("body", b"")), send)


async def limited_by_header(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The limit of a body's size is applied to Content-Length only."""
    body = await body_of(receive)
    if has("content-length", scope) is None and len(body) > 65536:
        body = b'{"ids": []}'
    await app(scope, given(body), send)


async def chunked_is_empty(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Without a Content-Length the body is treated as empty."""
    body = await body_of(receive)
    await app(scope, given(body if has("content-length", scope) else b'{"ids": []}'), send)


def large_is(number: int) -> Break:
    return status(413, number)


async def errs_on_bad_text(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """A body that is not UTF-8 is a 500."""
    body = await body_of(receive)
    try:
        body.decode()
    except UnicodeDecodeError:
        await PlainTextResponse("Internal Server Error", 500)(scope, receive, send)
        return
    await app(scope, given(body), send)


def ids_are(change: Callable[[list[Any]], list[Any]]) -> Break:
    """Change the ids of a PATCH."""

    async def served(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        body = await body_of(receive)
        try:
            value = json.loads(body)
            if (kept := change(value["ids"])) != value["ids"]:
                body = json.dumps({"ids": kept}).encode()
        except (ValueError, KeyError, TypeError):
            pass
        headers = [(k, v) for k, v in scope["headers"] if k != b"content-length"]
        await app(scope | {"headers": headers}, given(body), send)

    return around(MANY, served)


async def fails_with_many(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Like a database whose statements take at most 999 parameters."""
    body = await body_of(receive)
    if body.count(b",") >= 999:
        await PlainTextResponse("Internal Server Error", 500)(scope, receive, send)
        return
    await app(scope, given(body), send)


def known_strings(ids: list[Any]) -> list[Any]:
    return [id for id in ids if isinstance(id, str)]


def later(when: When) -> Break:
    """Respond before the request takes effect, which it does once the next GET has been answered."""

    def broken(app: ASGIApp) -> ASGIApp:
        pending: list[tuple[Scope, bytes]] = []

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and when(scope):
                body = await body_of(receive)
                answer = await whole(app, scope | {"method": "GET", "path": "/notifications/unread/count"}, given(b""))
                if answer[0]["status"] != 200:
                    await app(scope, given(body), send)
                    return
                pending.append((scope, body))
                await Response(status_code=204)(scope, receive, send)
                return
            await app(scope, receive, send)
            while pending and scope["type"] == "http" and scope["method"] == "GET":
                late, body = pending.pop(0)
                await whole(app, late, given(body))

        return serve

    return broken


# What is kept


def matching(matches: Callable[[str, str], bool], *calls: str) -> type[MemoryStore]:
    """A store that compares types with this function, in these methods or in all."""

    class Matches(MemoryStore):
        def _types(self, recipient: Recipient, types: Sequence[str] | None) -> Sequence[str] | None:
            if not types:
                return types
            found = {row.type for row in self._rows.values() if row.recipient == recipient}
            return [type for type in found if any(matches(type, name) for name in types)] or ["none"]

    def wrap(call: str) -> Callable[..., Any]:
        async def wrapped(self: Any, recipient: Recipient, *, types: Sequence[str] | None = None, **rest: Any) -> Any:
            return await getattr(MemoryStore, call)(self, recipient, types=self._types(recipient, types), **rest)

        return wrapped

    for call in calls or ("page", "count", "unread_count", "mark_all_read"):
        setattr(Matches, call, wrap(call))
    return Matches


def like(type: str, name: str) -> bool:
    """SQL's LIKE without escaping."""
    return re.fullmatch(re.escape(name).replace("%", ".*").replace("_", "."), type) is not None


def first_named(*calls: str) -> type[MemoryStore]:
    """Of several types only the first is used."""

    class First(MemoryStore): ...

    def wrap(call: str) -> Callable[..., Any]:
        async def wrapped(self: Any, recipient: Recipient, *, types: Sequence[str] | None = None, **rest: Any) -> Any:
            return await getattr(MemoryStore, call)(self, recipient, types=types and types[:1], **rest)

        return wrapped

    for call in calls:
        setattr(First, call, wrap(call))
    return First


class OrdersByUpdate(MemoryStore):
    async def page(self, recipient: Recipient, *, before: Any = None, **rest: Any) -> Sequence[Notification]:
        offset, limit = rest.pop("offset", 0), rest.pop("limit", 50)
        rows = await super().page(recipient, before=before, offset=0, limit=10**6, **rest)
        return sorted(rows, key=lambda row: (row.updated_at, row.id), reverse=True)[offset : offset + limit]


class OldestWithAFilter(MemoryStore):
    async def page(self, recipient: Recipient, *, types: Any = None, **rest: Any) -> Sequence[Notification]:
        offset, limit = rest.pop("offset", 0), rest.pop("limit", 50)
        rows = list(await super().page(recipient, types=types, offset=0, limit=10**6, **rest))
        return (rows[::-1] if types and len(types) > 1 else rows)[offset : offset + limit]


class OldestHundredUnread(MemoryStore):
    async def page(self, recipient: Recipient, *, unread_only: bool = False, **rest: Any) -> Sequence[Notification]:
        if not unread_only:
            return await super().page(recipient, **rest)
        limit = rest.pop("limit", 50)
        return (await super().page(recipient, unread_only=True, limit=10**6, **rest))[-limit:]


class OffsetAsCursor(MemoryStore):
    """A cursor is the number of rows before it when the first page was read."""

    async def page(self, recipient: Recipient, *, before: Any = None, **rest: Any) -> Sequence[Notification]:
        if before is None:
            return await super().page(recipient, **rest)
        rows = list(await super().page(recipient, **(rest | {"limit": 10**6})))
        known = [n for n, row in enumerate(rows) if row.id == before.id]
        if not known:  # deleted meanwhile: from the beginning
            return rows[: rest["limit"]]
        return await super().page(recipient, before=before, **rest)


class CursorOfTheTimeAlone(MemoryStore):
    """Rows of the cursor's own second are skipped, as with a DATETIME without fractions."""

    async def page(self, recipient: Recipient, *, before: Any = None, **rest: Any) -> Sequence[Notification]:
        if before is None:
            return await super().page(recipient, **rest)
        rows = await super().page(recipient, before=before, **(rest | {"limit": 10**6}))
        second = before.created_at.replace(microsecond=0)
        return [row for row in rows if row.created_at < second][: rest["limit"]]


class CursorWithoutFilter(MemoryStore):
    async def page(self, recipient: Recipient, *, before: Any = None, types: Any = None, **rest: Any) -> Any:
        return await super().page(recipient, before=before, types=None if before else types, **rest)


class CountsToAHundred(MemoryStore):
    async def unread_count(self, recipient: Recipient, **rest: Any) -> int:
        return min(100, await super().unread_count(recipient, **rest))


class CountsTwentyPages(MemoryStore):
    """The total is at most what a page can show."""

    async def count(self, recipient: Recipient, **rest: Any) -> int:
        return min(100, await super().count(recipient, **rest))


class NoMaxWithTypes(MemoryStore):
    async def unread_count(self, recipient: Recipient, *, types: Any = None, at_most: Any = None) -> int:
        return await super().unread_count(recipient, types=types, at_most=None if types else at_most)


class CountsAllWithTypes(MemoryStore):
    async def unread_count(self, recipient: Recipient, *, types: Any = None, at_most: Any = None) -> int:
        counted = super().unread_count if types is None or len(types) == 1 else super().count
        return await counted(recipient, types=types)


class OneMore(MemoryStore):
    """It counts to one more than requested, to show "99+"."""

    async def unread_count(self, recipient: Recipient, *, types: Any = None, at_most: Any = None) -> int:
        return await super().unread_count(recipient, types=types, at_most=at_most and at_most + 1)


class CountsByAddition(MemoryStore):
    """A separate counter, which every update of a notification increments again."""

    async def upsert(self, notification: Notification, **rest: Any) -> Notification:
        self.drift = getattr(self, "drift", 0) + (notification.id in self._rows)
        return await super().upsert(notification, **rest)

    async def unread_count(self, recipient: Recipient, *, types: Any = None, at_most: Any = None) -> int:
        drift = 0 if types or at_most else getattr(self, "drift", 0)
        return drift + await super().unread_count(recipient, types=types, at_most=at_most)


class MarksAgain(MemoryStore):
    async def mark_read(self, recipient: Recipient, *ids: str, at: Any) -> int:
        rows = self._named(recipient, ids)
        fresh = sum(row.read_at is None for row in rows)
        self._mark(rows, at)
        return fresh


class MarksAgainInMany(MemoryStore):
    async def mark_read(self, recipient: Recipient, *ids: str, at: Any) -> int:
        if len(ids) > 1:
            await asyncio.sleep(0.002)
            rows = self._named(recipient, ids)
            fresh = sum(row.read_at is None for row in rows)
            self._mark(rows, at)
            return fresh
        return await super().mark_read(recipient, *ids, at=at)


class MarksAllAgain(MemoryStore):
    async def mark_all_read(self, recipient: Recipient, *, types: Any = None, seen: Any = None, at: Any) -> int:
        fresh = await super().mark_all_read(recipient, types=types, seen=seen, at=at)
        await asyncio.sleep(0.002)
        if types is None and seen is None:
            self._mark(list(self._select(recipient)), at)
        return fresh


class ReadsThenMarks(MemoryStore):
    """Rows marked by two concurrent calls are counted by both."""

    async def mark_read(self, recipient: Recipient, *ids: str, at: Any) -> int:
        rows = [row for row in self._named(recipient, ids) if row.read_at is None]
        await asyncio.sleep(0.02)
        return self._mark(rows, at)


class StopsAtUnknown(MemoryStore):
    async def mark_read(self, recipient: Recipient, *ids: str, at: Any) -> int:
        marked = 0
        for id in ids:
            if not self._named(recipient, [id]):
                return marked
            marked += await super().mark_read(recipient, id, at=at)
        return marked


class NoneIfAnyIsUnknown(MemoryStore):
    async def mark_read(self, recipient: Recipient, *ids: str, at: Any) -> int:
        if len(self._named(recipient, ids)) < len(set(ids)):
            return 0
        return await super().mark_read(recipient, *ids, at=at)


class MarksAnyones(MemoryStore):
    """PATCH marks the ids it is given, other recipients' too."""

    async def mark_read(self, recipient: Recipient, *ids: str, at: Any) -> int:
        if len(ids) < 2:
            return await super().mark_read(recipient, *ids, at=at)
        mine = await super().mark_read(recipient, *ids, at=at)
        others = [self._rows[id] for id in ids if id in self._rows]
        self._mark([row for row in others if row.read_at is None], at)
        return mine


class AllWithinATenant(MemoryStore):
    """read-all marks the rows of everyone in the tenant."""

    async def mark_all_read(self, recipient: Recipient, *, types: Any = None, seen: Any = None, at: Any) -> int:
        marked = await super().mark_all_read(recipient, types=types, seen=seen, at=at)
        if types or seen:
            for other in {row.recipient for row in self._rows.values()} - {recipient}:
                await super().mark_all_read(other, types=types, seen=seen, at=at)
        return marked


class SeenOrTypes(MemoryStore):
    async def mark_all_read(self, recipient: Recipient, *, types: Any = None, seen: Any = None, at: Any) -> int:
        return await super().mark_all_read(recipient, types=types, seen=None if types else seen, at=at)


class TypesOrSeen(MemoryStore):
    async def mark_all_read(self, recipient: Recipient, *, types: Any = None, seen: Any = None, at: Any) -> int:
        return await super().mark_all_read(recipient, types=None if seen else types, seen=seen, at=at)


class SeenIsWhenItWasMade(MemoryStore):
    async def mark_all_read(self, recipient: Recipient, *, types: Any = None, seen: Any = None, at: Any) -> int:
        unread = self._select(recipient, types=types, unread_only=True)
        return self._mark([row for row in unread if seen is None or row.created_at <= seen], at)


class SeenIsNotIncluded(MemoryStore):
    async def mark_all_read(self, recipient: Recipient, *, types: Any = None, seen: Any = None, at: Any) -> int:
        unread = self._select(recipient, types=types, unread_only=True)
        return self._mark([row for row in unread if seen is None or row.updated_at < seen], at)


class MakesANewRow(MemoryStore):
    """An updated row keeps its id but gets a new created_at, so it moves to the top."""

    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        stored = await super().upsert(notification, renotify=renotify)
        self._rows[stored.id] = replace(stored, created_at=stored.updated_at)
        return self._rows[stored.id]


class DeletesAnyones(MemoryStore):
    """Deletes another recipient's row, and responds with 404."""

    async def delete(self, recipient: Recipient, *ids: str) -> int:
        deleted = await super().delete(recipient, *ids)
        for id in ids:
            self._rows.pop(id, None)
        return deleted


class Remarks(MemoryStore):
    """Marking an unread row unread increments its version."""

    async def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        for row in self._named(recipient, ids):
            self._rows[row.id] = replace(row, version=row.version + 1)
        return await super().mark_unread(recipient, *ids)


class LosesNulls(MemoryStore):
    async def insert_many(self, notifications: Sequence[Notification]) -> None:
        await super().insert_many([replace(row, data=self.kept(dict(row.data))) for row in notifications])

    def kept(self, data: dict[str, Any]) -> Any:
        return {name: value for name, value in data.items() if value is not None}


class CamelCasesData(LosesNulls):
    def kept(self, data: dict[str, Any]) -> Any:
        return {re.sub(r"_(\w)", lambda found: found[1].upper(), name): value for name, value in data.items()}


class ReadsDates(LosesNulls):
    """Strings that look like times are parsed, and formatted differently."""

    def kept(self, data: dict[str, Any]) -> Any:
        return {
            name: value.replace("Z", "+00:00")
            if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value)
            else value
            for name, value in data.items()
        }


class ReadsNumbers(LosesNulls):
    def kept(self, data: dict[str, Any]) -> Any:
        return {name: int(v) if isinstance(v, str) and v.isdecimal() else v for name, v in data.items()}


class RoundsNumbers(LosesNulls):
    """Like a server that stores every number as a double."""

    def kept(self, data: dict[str, Any]) -> Any:
        return {
            name: int(float(v)) if isinstance(v, int) and not isinstance(v, bool) else v for name, v in data.items()
        }


class TrimsData(LosesNulls):
    def kept(self, data: dict[str, Any]) -> Any:
        return {name: value.strip() if isinstance(value, str) else value for name, value in data.items()}


class CutsData(LosesNulls):
    def kept(self, data: dict[str, Any]) -> Any:
        return {name: value[:4000] if isinstance(value, str) else value for name, value in data.items()}


class EscapesData(LosesNulls):
    def kept(self, data: dict[str, Any]) -> Any:
        return {name: v.replace("&", "&amp;") if isinstance(v, str) else v for name, v in data.items()}


# Streams


def frames_of(make: Callable[[], Callable[[str], str]]) -> Break:
    """Change frames, with a new function for each app."""
    return lambda app: frames(make())(app)


class OneStreamOnly(SseHub):
    """Only the recipient's latest stream receives events."""

    def subscribe(self, recipient: Recipient, **rest: Any) -> Any:
        self.silent = {**getattr(self, "silent", {}), recipient: getattr(self, "last", {}).get(recipient)}
        stream = super().subscribe(recipient, **rest)
        if (before := getattr(self, "last", {}).get(recipient)) is not None:
            before.end("left")
        self.last = {**getattr(self, "last", {}), recipient: stream}
        return stream


class SendsMarksToEveryone(SseHub):
    def publish(self, recipient: Recipient, *events: Any) -> None:
        super().publish(recipient, *events)
        for other in self.online():
            if other != recipient and any(event.name in ("read", "unread", "delete") for event in events):
                super().publish(other, *events)


class SendsToIdsWithTheSameStart(SseHub):
    """Recipients whose ids begin with the same character get each other's notifications."""

    def publish(self, recipient: Recipient, *events: Any) -> None:
        super().publish(recipient, *events)
        for other in self.online():
            if other != recipient and other.id[:1] == recipient.id[:1]:
                super().publish(other, *[event for event in events if event.name == "notification"])


def count_of_everything(frame: str) -> str:
    return re.sub(r'\{"count":(\d+)\}', lambda found: f'{{"count":{int(found[1]) and min(int(found[1]), 9)}}}', frame)


def only_the_first(name: str) -> Callable[[], Callable[[str], str]]:
    def make() -> Callable[[str], str]:
        seen: set[str] = set()

        def edit(frame: str) -> str:
            new = frame not in seen
            seen.add(frame)
            return frame if new or not frame.startswith(name) else ""

        return edit

    return make


def bursts_are_cut() -> Callable[[str], str]:
    """At most ten frames per second are sent."""
    began = [0.0, 0]

    def edit(frame: str) -> str:
        now = asyncio.get_running_loop().time()
        if now - began[0] > 1:
            began[:] = [now, 0]
        began[1] += 1
        return frame if began[1] <= 30 else ""

    return edit


def ends_after(number: int) -> Break:
    """A stream ends after this number of frames."""

    def broken(app: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not STREAM(scope):
                await app(scope, receive, send)
                return
            seen, over = 0, asyncio.Event()

            async def counted(message: Message) -> None:
                nonlocal seen
                if over.is_set():
                    return
                seen += message.get("body", b"").count(b"\n\n")
                if seen >= number:
                    message = message | {"more_body": False}
                    over.set()
                await send(message)

            async def received() -> Message:
                left, ended = asyncio.ensure_future(receive()), asyncio.ensure_future(over.wait())
                await asyncio.wait([left, ended], return_when=asyncio.FIRST_COMPLETED)
                for waiting in (left, ended):
                    waiting.cancel()
                return {"type": "http.disconnect"}

            await app(scope, received, counted)

        return serve

    return broken


def too_many(app: ASGIApp) -> ASGIApp:
    """More than four open streams get a 429, after which an EventSource does not reconnect."""
    open_ones = 0

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal open_ones
        if scope["type"] != "http" or not STREAM(scope):
            await app(scope, receive, send)
        elif open_ones == 4:
            await Response(status_code=429)(scope, receive, send)
        else:
            open_ones += 1
            try:
                await app(scope, receive, send)
            finally:
                open_ones -= 1

    return serve


def silent(when: When) -> Callable[[], ASGIApp]:
    """No stream gets a frame for these."""

    def serve() -> ASGIApp:
        inbox = Inbox(MemoryStore(), SseHub())
        live, silenced = (with_send(standalone(of), of) for of in (inbox, Inbox(inbox.store)))

        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            await (silenced if when(scope) else live)(scope, receive, send)

        return served

    return serve


def header(name: str, value: str | None, when: When, of: Callable[[int], bool] = lambda status: True) -> Break:
    """Change or remove a header of these responses."""

    def broken(app: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def changed(message: Message) -> None:
                if "headers" in message and of(message["status"]):
                    kept = [(k, v) for k, v in message["headers"] if k != name.encode()]
                    added = [] if value is None else [(name.encode(), value.encode())]
                    message = message | {"headers": kept + added}
                await send(message)

            await app(scope, receive, changed if scope["type"] == "http" and when(scope) else send)

        return serve

    return broken


def moved(when: When) -> Break:
    """A trailing slash is redirected."""

    async def served(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=307, headers={"location": scope["path"].rstrip("/")})(scope, receive, send)

    return around(lambda scope: when(scope) and scope["path"].endswith("/"), served)


def unslashed(when: When) -> Break:
    async def served(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=404)(scope, receive, send)

    return around(lambda scope: when(scope) and scope["path"].endswith("/"), served)


def refuses(number: int, when: When, kind: str = "text/plain") -> Break:
    """Respond with this status instead."""

    async def served(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await Response("no", number, media_type=kind)(scope, receive, send)

    return around(when, served)


def below(path: str) -> When:
    return lambda scope: re.fullmatch(path, scope["path"].partition("/notifications")[2]) is not None


def says(name: str, pattern: str) -> When:
    """A query parameter matches the pattern."""
    return lambda scope: re.search(rf"(^|&){name}={pattern}(&|$)", scope["query_string"].decode()) is not None


def anonymous(scope: Scope) -> bool:
    return has("x-user", scope) is None


def probing(when: When, edit: Callable[[Scope, list[Message]], list[Message]]) -> Break:
    """Change complete responses with a function of request and response."""

    async def served(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        body = await body_of(receive)
        for message in edit(scope, await whole(app, scope, given(body))):
            await send(message)

    return around(when, served)


def mine_or_403(when: When, known: Callable[[str], bool] = lambda id: True) -> Break:
    """404 for an unknown id, 403 for another recipient's."""

    async def served(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        body = await body_of(receive)
        answer = await whole(app, scope, given(body))
        if answer[0]["status"] == 404:
            id = scope["path"].split("/")[2]
            for user in (b"42", b"43"):
                headers = [(k, user if k == b"x-user" else v) for k, v in scope["headers"]]
                theirs = await whole(app, scope | {"method": "GET", "path": "/notifications", "headers": headers,
                                                   "query_string": b"limit=100"}, given(b""))  # fmt: skip
                if id.encode() in theirs[1].get("body", b""):
                    await Response(b"", 403)(scope, receive, send)
                    return
        for message in answer:
            await send(message)

    return around(when, served)


def etag_of_bytes(app: ASGIApp) -> ASGIApp:
    """If-None-Match is compared as a string: one of several tags does not match."""

    def change(scope: Scope) -> Scope:
        tag = has("if-none-match", scope)
        if tag is None or "," not in tag:
            return scope
        return scope | {"headers": [(k, v) for k, v in scope["headers"] if k != b"if-none-match"]}

    return edit_request(change)(app)


def etag_never_changes(app: ASGIApp) -> ASGIApp:
    """A request with a tag gets 304 as long as the total count is unchanged."""
    return query(both(COUNT, lambda scope: has("if-none-match", scope) is not None), drop="type")(app)


def unescaped(scope: Scope) -> Scope:
    """The query is not percent-decoded."""
    kept = scope["query_string"].replace(b"%25", b"%2525").replace(b"+", b"%2B")
    return scope | {"query_string": kept}


def no_limit_from(number: int) -> Break:
    """perPage and limit above this are refused instead of capped."""

    def over(scope: Scope) -> bool:
        found = re.search(rb"(perPage|limit)=(\d+)", scope["query_string"])
        return found is not None and int(found[2]) > number

    return refuses(422, both(PAGE, over), "application/problem+json")


def data_first(item: dict[str, Any]) -> dict[str, Any]:
    return item | {"data": item["data"] or None}


def slim(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in item.items() if k not in ("actor", "traceId", "key")} for item in listed]


def error_field_less(body: bytes) -> bytes:
    value = json.loads(body) if body[:1] == b"{" else None
    if isinstance(value, dict) and "detail" in value:
        value.pop("field", None)
        return json.dumps(value).encode()
    return body


def large_frames_cut(frame: str) -> str:
    return frame if len(frame) < 16384 else ""


EMPTY = "event: notification\ndata:\n\n"
ALL_READ = 'event: read\ndata: {"notificationId":null,"readAt":"2026-01-01T00:00:00.000+00:00"}\n\n'

FAULTS: dict[str, Fault] = {
    # An inbox that is not one's own
    "pages cached by url": Fault("inbox.own", on(cached(PAGE, by_user=False, forgets=unsafe))),
    "counts cached by url": Fault("inbox.own", on(cached(COUNT, by_user=False, forgets=unsafe))),
    "unread cached by url": Fault("inbox.own", on(cached(LIST, by_user=False, forgets=unsafe))),
    "the user is a global variable": Fault("inbox.own", on(remembers_user)),
    "read-all marks everyone in the tenant": Fault("mark.not-yours", on(store=AllWithinATenant)),
    "deletes anyone's": Fault("delete.not-yours", on(store=DeletesAnyones)),
    "marks anyone's of many": Fault("mark.not-yours", on(store=MarksAnyones)),
    # What a cache misses
    "page cached past a read": Fault("answers.current", on(cached_until(PAGE, all_but=READ))),
    "page cached past an unread": Fault("answers.current", on(cached_until(PAGE, all_but=UNREAD))),
    "page cached past many": Fault("answers.current", on(cached_until(PAGE, all_but=MANY))),
    "page cached past read-all": Fault("answers.current", on(cached_until(PAGE, all_but=READ_ALL))),
    "page cached past a delete": Fault("answers.current", on(cached_until(PAGE, all_but=DELETE))),
    "count cached past a read": Fault("answers.current", on(cached_until(COUNT, all_but=READ))),
    "count cached past an unread": Fault("answers.current", on(cached_until(COUNT, all_but=UNREAD))),
    "count cached past many": Fault("answers.current", on(cached_until(COUNT, all_but=MANY))),
    "count cached past read-all": Fault("answers.current", on(cached_until(COUNT, all_but=READ_ALL))),
    "count cached past a delete": Fault("answers.current", on(cached_until(COUNT, all_but=DELETE))),
    "unread cached past a read": Fault("answers.current", on(cached_until(LIST, all_but=READ))),
    "unread cached past many": Fault("answers.current", on(cached_until(LIST, all_but=MANY))),
    "unread cached past a delete": Fault("answers.current", on(cached_until(LIST, all_but=DELETE))),
    "unread cached past an unread": Fault("answers.current", on(cached_until(LIST, all_but=UNREAD))),
    "a counter that drifts": Fault("count.value", on(store=CountsByAddition)),
    # Answered before it is done
    "read after the response": Fault("answers.current", on(later(READ))),
    "unread after the response": Fault("answers.current", on(later(UNREAD))),
    "read-all after the response": Fault("answers.current", on(later(READ_ALL))),
    "delete after the response": Fault("answers.current", on(later(DELETE))),
    # Forged requests
    "read unguarded": Fault("cross-site.refused", on(unguarded(READ))),
    "unread unguarded": Fault("cross-site.refused", on(unguarded(UNREAD))),
    "many unguarded": Fault("cross-site.refused", on(unguarded(MANY))),
    "read-all unguarded": Fault("cross-site.refused", on(unguarded(READ_ALL))),
    "delete unguarded": Fault("cross-site.refused", on(unguarded(DELETE))),
    "origin by prefix": Fault(
        "cross-site.origin", on(origin_matches(lambda origin, host: origin.startswith(f"http://{host}")))
    ),
    "origin by suffix": Fault("cross-site.origin", on(origin_matches(lambda origin, host: origin.endswith(host)))),
    "origin by substring": Fault("cross-site.origin", on(origin_matches(lambda origin, host: host in origin))),
    "origin without port": Fault(
        "cross-site.origin",
        on(origin_matches(lambda origin, host: origin.partition("://")[2].partition(":")[0] == host.partition(":")[0])),
    ),
    "origin compared by port": Fault(
        "cross-site.origin",
        on(origin_matches(lambda origin, host: origin.rpartition(":")[2] == host.rpartition(":")[2])),
    ),
    "origin null": Fault("cross-site.origin", on(origin_matches(lambda origin, host: origin == "null"))),
    "origin by pattern": Fault(
        "cross-site.origin", on(origin_matches(lambda origin, host: re.match(f"https?://{host}$", origin) is not None))
    ),
    "origin checked for POST only": Fault(
        "cross-site.origin", on(without("origin", lambda scope: scope["method"] in ("PATCH", "DELETE")))
    ),
    "own origin before Sec-Fetch-Site": Fault("cross-site.refused", on(edit_request(own_origin_first))),
    "refused after it was done": Fault("cross-site.refused", on(around(unsafe, does_then_refuses))),
    "cross-site reads are refused": Fault(
        "cross-site.same",
        on(refuses(403, both(at("", "GET"), lambda scope: has("sec-fetch-site", scope) == "cross-site"))),
    ),
    "same-site deletes are refused": Fault(
        "cross-site.same", on(refuses(403, both(DELETE, lambda scope: has("sec-fetch-site", scope) == "same-site")))
    ),
    "same-site patches are refused": Fault(
        "cross-site.same", on(refuses(403, both(MANY, lambda scope: has("sec-fetch-site", scope) == "same-site")))
    ),
    "own origin is refused": Fault(
        "cross-site.same",
        on(refuses(403, lambda scope: unsafe(scope) and (has("origin", scope) or "").startswith("http://127"))),
    ),
    "marks by GET": Fault("routes.others", on(edit_request(by_get, at("/[^/]+/read", "GET")))),
    "read-all by GET": Fault("routes.others", on(edit_request(by_get, at("/read-all", "GET")))),
    "PUT is 200": Fault("routes.others", on(status(405, 200, at("/[^/]+", "PUT")))),
    # Bodies
    "only the first chunk of a body": Fault("many.updated", on(around(MANY, first_chunk))),
    "a chunked body is empty": Fault("many.updated", on(around(MANY, chunked_is_empty))),
    "a limit checked by Content-Length only": Fault("errors.large", on(around(MANY, limited_by_header))),
    "bad text is 500": Fault("errors.garbage", on(around(MANY, errs_on_bad_text))),
    "ids that are not strings are ignored": Fault("errors.garbage", on(ids_are(known_strings))),
    "only 100 ids": Fault("many.updated", on(ids_are(lambda ids: ids[:100]))),
    "only 500 ids": Fault("many.updated", on(ids_are(lambda ids: ids[:500]))),
    "999 parameters": Fault("many.updated", on(around(MANY, fails_with_many))),
    "stops at an unknown id": Fault("many.updated", on(store=StopsAtUnknown)),
    "all ids or none": Fault("many.updated", on(store=NoneIfAnyIsUnknown)),
    "concurrent marks are counted twice": Fault("many.updated", on(store=ReadsThenMarks)),
    # Types
    "types by prefix": Fault("page.type", on(store=matching(str.startswith))),
    "types by LIKE": Fault("page.type", on(store=matching(like))),
    "types by glob": Fault("page.type", on(store=matching(fnmatch.fnmatchcase))),
    "types by expression": Fault(
        "page.type", on(store=matching(lambda type, name: re.fullmatch(name, type) is not None))
    ),
    "types without case in counts": Fault(
        "count.type", on(store=matching(lambda type, name: type.lower() == name.lower(), "unread_count"))
    ),
    "types without case in read-all": Fault(
        "read-all.type", on(store=matching(lambda type, name: type.lower() == name.lower(), "mark_all_read"))
    ),
    "types by prefix in read-all": Fault("read-all.type", on(store=matching(str.startswith, "mark_all_read"))),
    "types by prefix in counts": Fault("count.type", on(store=matching(str.startswith, "unread_count"))),
    "types by substring": Fault("page.type", on(store=matching(lambda type, name: name in type))),
    "types without accents": Fault(
        "page.type",
        on(
            store=matching(
                lambda type, name: (
                    unicodedata.normalize("NFKD", type).encode("ascii", "ignore")
                    == unicodedata.normalize("NFKD", name).encode("ascii", "ignore")
                )
            )
        ),
    ),
    "only the first type in counts": Fault("count.type", on(store=first_named("unread_count"))),
    "only the first type in read-all": Fault("read-all.type", on(store=first_named("mark_all_read"))),
    "only the first type in totals": Fault("page.type", on(store=first_named("count"))),
    "types are not unescaped": Fault("page.type", on(edit_request(unescaped, has_parameters("type")))),
    # Pages
    "newest update first": Fault("page.order", on(store=OrdersByUpdate)),
    "an updated row moves to the top": Fault("page.order", on(store=MakesANewRow)),
    "oldest first of two types": Fault("page.type", on(store=OldestWithAFilter)),
    "a larger page is refused": Fault("page.cap", on(no_limit_from(100))),
    "a page of 1000": Fault(
        "page.cap",
        on(edit_response(both(NUMBERED, says("perPage", "1000")), body=lambda body: body.replace(b"100,", b"1000,"))),
    ),
    "page 0 is refused": Fault("page.floor", on(refuses(422, both(PAGE, says("page", "(0|-\\d+)"))))),
    "perPage 0 is refused": Fault("page.floor", on(refuses(422, both(PAGE, says("perPage", "(0|-\\d+)"))))),
    "lastPage of an empty inbox is 0": Fault(
        "page.shape",
        on(
            edit_json(NUMBERED, lambda page: page if page["items"] else page | {"meta": page["meta"] | {"lastPage": 0}})
        ),
    ),
    "a total of at most a hundred": Fault("page.cap", on(store=CountsTwentyPages)),
    "the total is of the page": Fault(
        "page.shape",
        on(
            edit_json(
                both(NUMBERED, has_parameters("page")),
                lambda page: page | {"meta": page["meta"] | {"total": len(page["items"])}},
            )
        ),
    ),
    "a cursor without its filter": Fault("keyset.type", on(store=CursorWithoutFilter)),
    "a cursor of a deleted row": Fault("keyset.walk", on(store=OffsetAsCursor)),
    "a cursor of only the time": Fault("keyset.walk", on(store=CursorOfTheTimeAlone)),
    "a limit applied to the first page only": Fault(
        "keyset.walk", on(query(both(KEYSET, has_parameters("before")), drop="limit"))
    ),
    "cursor without limit is numbered": Fault(
        "keyset.wins", on(query(both(PAGE, has_parameters("before", "page")), drop="before"))
    ),
    # Unread and counts
    "the oldest hundred unread": Fault("unread.cap", on(store=OldestHundredUnread)),
    "unread items lack fields": Fault("item.fields", on(edit_json(LIST, slim))),
    "counts to a hundred": Fault("count.value", on(store=CountsToAHundred)),
    "max is ignored with types": Fault("count.max", on(store=NoMaxWithTypes)),
    "counts one more than max": Fault("count.max", on(store=OneMore)),
    "counts read ones of two types": Fault("count.type", on(store=CountsAllWithTypes)),
    "one of several tags": Fault("count.etag", on(etag_of_bytes)),
    "a tag without its types": Fault("count.etag", on(etag_never_changes)),
    "a 304 without its tag": Fault("count.etag", on(header("etag", None, COUNT, lambda status: status == 304))),
    # Marks
    "a repeated mark changes read_at": Fault("mark.repeats", on(store=MarksAgain)),
    "a repeated mark of many changes read_at": Fault("mark.repeats", on(store=MarksAgainInMany)),
    "read-all changes read_at of read rows": Fault("mark.repeats", on(store=MarksAllAgain)),
    "seen or types": Fault("read-all.seen", on(store=SeenOrTypes)),
    "types or seen": Fault("read-all.type", on(store=TypesOrSeen)),
    "seen compares created_at": Fault("read-all.seen", on(store=SeenIsWhenItWasMade)),
    "seen is not included": Fault("read-all.seen", on(store=SeenIsNotIncluded)),
    "an empty seen marks all": Fault("errors.garbage", on(query(says("seen", ""), drop="seen"))),
    "an unread raises the version": Fault("mark.repeats", on(store=Remarks)),
    "403 for another's unread": Fault("mark.not-yours", on(mine_or_403(UNREAD))),
    "403 for another's delete": Fault("delete.not-yours", on(mine_or_403(DELETE))),
    "400 for an invalid id": Fault("mark.not-yours", on(refuses(400, below("/[^/]{1,30}/(read|unread)")))),
    "500 for ids of any text": Fault(
        "mark.not-yours",
        on(refuses(500, lambda scope: re.search(r"%[0-9A-Fa-f]{2}", scope["raw_path"].decode()) is not None)),
    ),
    "500 for long ids": Fault("mark.not-yours", on(refuses(500, lambda scope: len(scope["path"]) > 300))),
    # Streams
    "no count first": Fault("frames.count", on(frames(lambda frame: "" if '{"count"' in frame else frame))),
    "first counts are at most nine": Fault("frames.count", on(frames(count_of_everything))),
    "one stream for each recipient": Fault("frames.item", on(hub=OneStreamOnly)),
    "marks are sent to everyone": Fault("frames.yours", on(hub=SendsMarksToEveryone)),
    "frames sent to ids with the same first character": Fault("frames.yours", on(hub=SendsToIdsWithTheSameStart)),
    "streams of a fixed user": Fault("frames.yours", on(as_user("42", STREAM))),
    "a carriage return": Fault("frames.lines", on(replaced(r"\n\n$", "\r\n\r\n"))),
    "frames in bursts are lost": Fault("frames.item", on(frames_of(bursts_are_cut))),
    "large frames are lost": Fault("frames.item", on(frames(large_frames_cut))),
    "equal frames are sent once": Fault("frames.empty", on(frames_of(only_the_first("event: notification\ndata:\n")))),
    "a stream ends like a long poll": Fault("frames.item", on(ends_after(2))),
    "versions are always 1": Fault("frames.item", on(replaced(r'"version":\d+', '"version":1'))),
    "no count on a reconnect": Fault(
        "frames.resumed",
        on(
            around(
                both(STREAM, lambda scope: has("last-event-id", scope) is not None),
                lambda app, *call: frames(lambda frame: "" if '{"count"' in frame else frame)(app)(*call),
            )
        ),
    ),
    "many have no frame": Fault("frames.many", silent(MANY)),
    "read-all has no frame": Fault("frames.all-read", silent(READ_ALL)),
    "deletes have no frame": Fault("frames.delete", silent(DELETE)),
    "unreads have no frame": Fault("frames.unread", silent(UNREAD)),
    "past the cap is 429": Fault("degraded.cap", on(too_many)),
    "past the cap the retry is one second": Fault("degraded.cap", on(replaced("retry: 30000", "retry: 1000"))),
    "filtered read-alls are sent as read-all": Fault(
        "frames.filtered", on(frames(lambda frame: ALL_READ + EMPTY if frame == EMPTY else frame))
    ),
    "a stream is transformed": Fault("stream.headers", on(header("cache-control", "no-cache", STREAM))),
    "a stream has a length": Fault("stream.headers", on(header("content-type", "text/plain", STREAM))),
    # Headers
    "204s may be cached": Fault("answers.private", on(header("cache-control", None, always, lambda n: n == 204))),
    "errors may be cached": Fault("answers.private", on(header("cache-control", None, always, lambda n: n >= 400))),
    "401s may be cached": Fault("answers.private", on(header("cache-control", None, always, lambda n: n == 401))),
    "304s may be cached": Fault("answers.private", on(header("cache-control", None, always, lambda n: n == 304))),
    "content types may be sniffed": Fault("answers.nosniff", on(header("x-content-type-options", None, always))),
    "content types of errors may be sniffed": Fault(
        "answers.nosniff", on(header("x-content-type-options", None, always, lambda n: n >= 400))
    ),
    "content types of streams may be sniffed": Fault(
        "answers.nosniff", on(header("x-content-type-options", None, STREAM))
    ),
    "a slash redirects": Fault("routes.slash", on(moved(below("/unread/")))),
    "a slash after an id redirects": Fault("routes.slash", on(moved(below("/[^/]+/read/")))),
    "a slash is 404": Fault("routes.slash", on(unslashed(below("/read-all/")))),
    "a slash after the stream is 404": Fault("routes.slash", on(unslashed(below("/stream/")))),
    # Errors
    "401 is a page": Fault("errors.recipient", on(refuses(401, both(anonymous, COUNT), "text/html"))),
    "a stream without a recipient is 200": Fault(
        "errors.recipient", on(refuses(200, both(anonymous, STREAM), "text/event-stream"))
    ),
    "the element is for users": Fault("element.served", on(refuses(401, both(anonymous, at("/notistore-inbox.js"))))),
    "errors name no field": Fault("errors.garbage", on(edit_response(always, body=error_field_less))),
    "a fraction of a page": Fault(
        "errors.garbage",
        on(
            edit_request(
                lambda scope: scope | {"query_string": re.sub(rb"=(\d+)\.\d+", rb"=\1", scope["query_string"])}, PAGE
            )
        ),
    ),
    "digits of any script": Fault(
        "errors.garbage",
        on(edit_request(lambda scope: scope | {"query_string": scope["query_string"].replace(b"%D9%A1", b"1")}, PAGE)),
    ),
    "huge pages are 500": Fault("errors.garbage", on(refuses(500, both(PAGE, says("page", r"\d{12,}"))))),
    "a naive seen": Fault(
        "errors.garbage",
        on(
            edit_request(
                lambda scope: (
                    scope | {"query_string": re.sub(rb"(seen=[\dT:.%A-F-]+\d)$", rb"\1Z", scope["query_string"])}
                    if not re.search(rb"(%2B|Z|\+)", scope["query_string"])
                    else scope
                ),
                has_parameters("seen"),
            )
        ),
    ),
    "a problem of another status": Fault(
        "errors.problem", on(edit_response(always, body=lambda body: body.replace(b'"status":413', b'"status":400')))
    ),
    # Items
    "nulls are lost": Fault("item.data", on(store=LosesNulls)),
    "data in camelCase": Fault("item.data", on(store=CamelCasesData)),
    "data with times": Fault("item.data", on(store=ReadsDates)),
    "data with digits": Fault("item.data", on(store=ReadsNumbers)),
    "data in doubles": Fault("item.data", on(store=RoundsNumbers)),
    "data trimmed": Fault("item.data", on(store=TrimsData)),
    "data cut": Fault("item.data", on(store=CutsData)),
    "data escaped": Fault("item.data", on(store=EscapesData)),
    "empty data is null": Fault("item.data", on(edit_json(LIST, lambda listed: [data_first(item) for item in listed]))),
    "times of the unread in seconds": Fault(
        "item.times", on(edit_response(LIST, body=lambda body: re.sub(rb"\.\d{3}(\+00:00|Z)", rb"\1", body)))
    ),
    "a version of every row": Fault("item.version", on(items(KEYSET, lambda item: item | {"version": 1}))),
}
"""Name to fault."""

PASSES: dict[str, str] = {
    "data in doubles": "servers whose JSON numbers are doubles, as JavaScript's are, cannot keep integers above 2**53",
}
"""Faults that no check catches, and why."""
