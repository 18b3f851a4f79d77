"""Any request gets a documented response: no status of 500 or above, and no exception."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message

from notistore import Inbox, MemoryStore, Recipient, SseHub

from .mounts import Mount

# The mount is no state of an example; how slowly they are drawn depends on what else the machine does.
SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
KNOWN = "0193abcd-0000-7000-8000-000000000000"
VALUES = st.one_of(
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=20),
    st.integers().map(lambda number: str(number).encode()),
    st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat().encode()),
    st.sampled_from([b"", b"0", b"+", b"1." + KNOWN.encode(), b"-62135596800000." + KNOWN.encode(), b"%", b"%00"]),
)
NAMES = st.sampled_from([b"page", b"perPage", b"limit", b"before", b"type", b"max", b"seen"]) | st.binary(max_size=5)
# Every byte that may not stand in a request line is escaped; a "%" that escapes nothing stays.
QUERIES = (
    st.lists(st.tuples(NAMES, VALUES).map(b"=".join), max_size=4)
    .map(b"&".join)
    .map(lambda query: b"".join(bytes([c]) if 33 <= c <= 126 else b"%%%02X" % c for c in query))
)
IDS = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=40) | st.just(KNOWN)
PATHS = st.one_of(
    st.sampled_from(["", "/unread", "/unread/count", "/read", "/read-all"]),
    IDS.map("/{}".format),
    IDS.map("/{}/read".format),
    IDS.map("/{}/unread".format),
    st.text(max_size=20).map("/".__add__),
).filter(lambda path: path != "/stream")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)
BODIES = st.one_of(
    st.binary(max_size=50),
    st.builds(
        lambda ids: b'{"ids": %s}' % ids,
        JSON.map(lambda value: repr(value).replace("'", '"').encode("utf-8", "ignore")),
    ),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"origin", b"host", b"sec-fetch-site", b"if-none-match", b"content-length", b"content-type", b"x-tenant"]
        ),
        st.sampled_from([b"http://[", b"://", b"null", b"\xff", b"-1", b"9" * 5000, b"W/,", b'"0"'])
        | st.binary(max_size=20),
    ),
    max_size=3,
)


async def ask(
    app: ASGIApp, method: str, path: str, query: bytes, headers: list[Any], body: bytes, *, whole: bool = True
) -> int | None:
    """Call the app with one request as a server would, invalid parts included that no client library sends."""
    sent: list[Message] = []
    received = [
        {"type": "http.request", "body": body[:3], "more_body": True},
        {"type": "http.request", "body": body[3:]} if whole else {"type": "http.disconnect"},
    ]

    answered = asyncio.Event()

    async def receive() -> Message:
        if received:
            return received.pop(0)
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "root_path": "",
        "headers": [(b"x-user", b"42"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    return sent[0]["status"] if sent else None


@cache
def hosted(mount: Mount) -> tuple[Inbox, ASGIApp]:
    inbox = Inbox(MemoryStore(), SseHub())
    return inbox, mount.build(inbox)


@settings(max_examples=150, deadline=None, suppress_health_check=SUPPRESSED)
@given(
    method=st.sampled_from(["GET", "POST", "PATCH", "DELETE", "HEAD", "PUT", "OPTIONS", "TRACE"]),
    path=PATHS,
    query=QUERIES,
    headers=HEADERS,
    body=BODIES,
)
async def test_no_request_gets_more_than_a_refusal(
    mount: Mount, method: str, path: str, query: bytes, headers: list[Any], body: bytes
) -> None:
    inbox, app = hosted(mount)
    await inbox.send(Recipient("42"), "t", key="k")
    status = await ask(app, method, f"{mount.prefix}/notifications{path}", query, headers, body)
    assert status in {200, 204, 304, 307, 401, 403, 404, 405, 413, 422}


@settings(max_examples=150, deadline=None, suppress_health_check=SUPPRESSED)
@given(route=st.sampled_from(["GET ", "GET /unread", "GET /unread/count", "POST /read-all"]), query=QUERIES)
async def test_no_query_gets_more_than_a_refusal(mount: Mount, route: str, query: bytes) -> None:
    inbox, app = hosted(mount)
    await inbox.send(Recipient("42"), "t", key="k")
    method, path = route.split(" ")
    status = await ask(app, method, f"{mount.prefix}/notifications{path}", query, [], b"")
    assert status in {200, 204, 422}


@settings(max_examples=150, deadline=None, suppress_health_check=SUPPRESSED)
@given(body=BODIES, whole=st.booleans())
async def test_no_body_gets_more_than_a_refusal(mount: Mount, body: bytes, whole: bool) -> None:
    _, app = hosted(mount)
    status = await ask(app, "PATCH", f"{mount.prefix}/notifications/read", b"", [], body, whole=whole)
    assert status in ({200, 422} if whole else {400, None})  # Django answers nobody at all
