"""Middleware around a stream's `send`: every event still arrives, and a failure there ends only that stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import TypeAlias

import anyio
import anyio.lowlevel
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount as StarletteMount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.hub.events import Event
from notistore.web import inbox_app
from notistore.web.fastapi import inbox_router

from .mounts import async_user_of, user_of
from .served import Served, Stream

PATH = "/notifications/stream"
READERS = 3
EVENTS = 30

Around: TypeAlias = Callable[[Send], Send]


class Wrapped:
    """Middleware that wraps the `send` of requests with the header `x-wrapped: 1`, and of no others."""

    def __init__(self, app: ASGIApp, around: Around) -> None:
        self._app = app
        self._around = around

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wrap = scope["type"] == "http" and (b"x-wrapped", b"1") in scope["headers"]
        await self._app(scope, receive, self._around(send) if wrap else send)


class PassThrough(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


def timed_out(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
            await send(message)
            await asyncio.sleep(0)

    return wrapped


def timed_out_inside(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        await send(message)

    return wrapped


def moved_on(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        with anyio.CancelScope(shield=True):
            await send(message)
            await anyio.lowlevel.checkpoint()

    return wrapped


def cancelled_scope(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await asyncio.sleep(0)
            raise AssertionError("not reached")
        async with anyio.create_task_group() as group:
            group.start_soon(send, message)

    return wrapped


def slow(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        await asyncio.sleep(0.002)
        await send(message)

    return wrapped


def slow_now_and_then(send: Send) -> Send:
    sent = 0

    async def wrapped(message: Message) -> None:
        nonlocal sent
        sent += 1
        if sent % 3 == 0:
            await asyncio.sleep(0)
        await send(message)

    return wrapped


current: ContextVar[str] = ContextVar("current", default="")


def with_variables(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        token = current.set("sending")
        await asyncio.sleep(0)
        await send(message)
        assert current.get() == "sending"
        current.reset(token)

    return wrapped


def in_a_task(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        await asyncio.create_task(asyncio.wait_for(send(message), 5))  # type: ignore[arg-type]

    return wrapped


MIDDLEWARE = {
    "nothing": [],
    "BaseHTTPMiddleware": [Middleware(PassThrough)],
    "two of them": [Middleware(PassThrough), Middleware(PassThrough)],
    "GZipMiddleware": [Middleware(GZipMiddleware, minimum_size=1)],
    "asyncio.timeout": [Middleware(Wrapped, around=timed_out)],
    "a timeout that fires": [Middleware(Wrapped, around=timed_out_inside)],
    "anyio.move_on_after": [Middleware(Wrapped, around=moved_on)],
    "anyio scopes and groups": [Middleware(Wrapped, around=cancelled_scope)],
    "slow": [Middleware(Wrapped, around=slow)],
    "slow now and then": [Middleware(Wrapped, around=slow_now_and_then)],
    "context variables": [Middleware(Wrapped, around=with_variables)],
    "a task": [Middleware(Wrapped, around=in_a_task)],
    "all of it": [
        Middleware(Wrapped, around=with_variables),
        Middleware(PassThrough),
        Middleware(Wrapped, around=timed_out),
        Middleware(GZipMiddleware),
        Middleware(Wrapped, around=moved_on),
    ],
}


def around_the_host(inbox: Inbox, middleware: list[Middleware]) -> ASGIApp:
    return Starlette(routes=[StarletteMount("/", inbox_app(inbox, async_user_of))], middleware=middleware)


def added_to_the_app(inbox: Inbox, middleware: list[Middleware]) -> ASGIApp:
    app = inbox_app(inbox, user_of)
    for one in reversed(middleware):
        app.add_middleware(one.cls, *one.args, **one.kwargs)
    return app


def around_fastapi(inbox: Inbox, middleware: list[Middleware]) -> ASGIApp:
    from fastapi import FastAPI

    app = FastAPI(middleware=middleware)
    app.include_router(inbox_router(inbox, async_user_of))
    return app


Host: TypeAlias = Callable[[Inbox, list[Middleware]], ASGIApp]


@pytest.fixture(params=[around_the_host, added_to_the_app, around_fastapi], ids=["host", "app", "fastapi"])
def host(request: pytest.FixtureRequest) -> Host:
    return request.param


@asynccontextmanager
async def open_streams(served: Served, number: int, **headers: str) -> AsyncIterator[list[Stream]]:
    """Open streams of one recipient, whose first frame, the count, has been read."""
    async with AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(served.stream(PATH, **headers)) for _ in range(number)]
        for stream in streams:
            assert b'"count"' in await stream.frame()
        yield streams


def event(number: int) -> Event:
    return Event("notification", {"number": number})


async def publish(hub: SseHub, user: Recipient) -> None:
    """Publish all events, with zero to three iterations of the event loop between them."""
    for number in range(EVENTS):
        hub.publish(user, event(number))
        for _ in range(number % 4):
            await asyncio.sleep(0)


async def received(stream: Stream) -> list[bytes]:
    return await stream.frames(EVENTS)


EXPECTED = [event(number).encode() for number in range(EVENTS)]


@pytest.mark.parametrize("middleware", MIDDLEWARE.values(), ids=MIDDLEWARE.keys())
async def test_every_event_arrives_once_and_in_order_through(
    uvicorn_server: Served, host: Host, middleware: list[Middleware], hub: SseHub, inbox: Inbox, user: Recipient
) -> None:
    uvicorn_server.app = host(inbox, middleware)
    async with (
        open_streams(uvicorn_server, READERS, x_wrapped="1") as wrapped,
        open_streams(uvicorn_server, READERS) as plain,
    ):
        publishing = asyncio.create_task(publish(hub, user))
        for stream in [*wrapped, *plain]:
            assert await received(stream) == EXPECTED
        await publishing
        assert publishing.cancelling() == 0
        assert hub.stats().streams == 2 * READERS
    await uvicorn_server.idle()
    assert hub.stats().ended == {"left": 2 * READERS}


@pytest.mark.parametrize("middleware", MIDDLEWARE.values(), ids=MIDDLEWARE.keys())
async def test_close_ends_every_stream_after_its_last_event_through(
    uvicorn_server: Served, host: Host, middleware: list[Middleware], hub: SseHub, inbox: Inbox, user: Recipient
) -> None:
    uvicorn_server.app = host(inbox, middleware)
    async with open_streams(uvicorn_server, READERS, x_wrapped="1") as streams:
        for number in range(3):
            hub.publish(user, event(number))
            await asyncio.sleep(0)
        hub.close()
        for stream in streams:
            assert await stream.frames(4) == [*EXPECTED[:3], b""]
    await uvicorn_server.idle()
    assert hub.stats().ended == {"closed": READERS}


class Refused(Exception):
    """What a middleware raises."""


@pytest.mark.parametrize("turns", [0, 1], ids=["at once", "after a wait"])
async def test_a_middleware_that_raises_ends_that_stream_alone(
    uvicorn_server: Served,
    host: Host,
    hub: SseHub,
    inbox: Inbox,
    user: Recipient,
    caplog: pytest.LogCaptureFixture,
    turns: int,
) -> None:
    def raising(send: Send) -> Send:
        async def wrapped(message: Message) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            if b'"number":10}' in message.get("body", b""):
                raise Refused
            await send(message)

        return wrapped

    outcomes: list[Exception] = []
    failed = asyncio.Event()

    class RecordsErrors:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await self._app(scope, receive, send)
            except Exception as error:
                outcomes.append(error)
                failed.set()
                raise

    uvicorn_server.app = host(inbox, [Middleware(RecordsErrors), Middleware(Wrapped, around=raising)])
    caplog.set_level(logging.CRITICAL, "uvicorn.error")
    async with (
        open_streams(uvicorn_server, 1, x_wrapped="1") as wrapped,
        open_streams(uvicorn_server, READERS) as plain,
    ):
        for number in range(10):
            hub.publish(user, event(number))
        assert await wrapped[0].frames(10) == EXPECTED[:10]
        publishing = asyncio.create_task(publish(hub, user))
        for stream in plain:
            assert await stream.frames(10) == EXPECTED[:10]
            assert await received(stream) == EXPECTED
        await publishing
        await failed.wait()
        assert hub.stats().streams == READERS
    assert [type(error) for error in outcomes] == [Refused]


async def test_cancelling_a_request_whose_send_waits_ends_only_its_stream(
    uvicorn_server: Served, host: Host, hub: SseHub, inbox: Inbox, user: Recipient
) -> None:
    begun, tasks, sending = asyncio.Event(), [], []

    def stuck(send: Send) -> Send:
        async def wrapped(message: Message) -> None:
            if b'"number"' in message.get("body", b""):
                begun.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    sending.append("cancelled")
                    raise
            await send(message)

        return wrapped

    class RecordsTasks:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            tasks.append(asyncio.current_task())
            try:
                await self._app(scope, receive, send)
            except asyncio.CancelledError:
                await send({"type": "http.response.body", "body": b""})  # uvicorn would log a cancelled request

    uvicorn_server.app = host(inbox, [Middleware(RecordsTasks), Middleware(Wrapped, around=stuck)])
    async with open_streams(uvicorn_server, 1, x_wrapped="1") as wrapped, open_streams(uvicorn_server, 1) as plain:
        hub.publish(user, event(0))
        await begun.wait()
        tasks[0].cancel()
        assert await wrapped[0].frame() == b""
        hub.publish(user, event(1))
        assert await plain[0].frames(2) == EXPECTED[:2]
        assert sending == ["cancelled"]
        assert hub.stats().streams == 1


async def test_a_stream_whose_send_never_returns_is_dropped_a_second_after_its_end(
    uvicorn_server: Served, host: Host, store: MemoryStore, user: Recipient
) -> None:
    def stuck(send: Send) -> Send:
        async def wrapped(message: Message) -> None:
            if b'"number"' in message.get("body", b""):
                await asyncio.Event().wait()
            await send(message)

        return wrapped

    hub = SseHub(backlog=4 * len(EXPECTED[0]))
    uvicorn_server.app = host(Inbox(store, hub), [Middleware(Wrapped, around=stuck)])
    async with open_streams(uvicorn_server, 2, x_wrapped="1"), open_streams(uvicorn_server, 1) as plain:
        for number in range(EVENTS):
            hub.publish(user, event(number))
            assert await plain[0].frame() == EXPECTED[number]
        assert hub.stats().ended == {"backlog": 2}
        hub.close()
        assert await plain[0].frame() == b""
        await uvicorn_server.idle()


async def test_middleware_and_handlers_added_to_the_app_apply_to_its_streams(
    uvicorn_server: Served, inbox: Inbox, store: MemoryStore
) -> None:
    class Fails(MemoryStore):
        async def unread_count(self, *args: object, **options: object) -> int:
            raise LookupError

    async def teapot(request: Request, error: Exception) -> Response:
        return Response("teapot", status_code=418)

    app = inbox_app(Inbox(Fails(), SseHub()), user_of)
    app.add_exception_handler(LookupError, teapot)
    uvicorn_server.app = app
    async with uvicorn_server.stream(PATH) as stream:
        assert stream.status == 418

    class Named:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def named(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"].append((b"x-named", b"1"))
                await send(message)

            await self._app(scope, receive, named)

    app = inbox_app(inbox, user_of)
    app.add_middleware(Named)
    uvicorn_server.app = app
    async with uvicorn_server.stream(PATH) as stream:
        assert stream.headers["x-named"] == "1"
    uvicorn_server.app = Starlette(routes=inbox_app(inbox, user_of).routes)
    async with uvicorn_server.stream(PATH) as stream:
        assert b'"count"' in await stream.frame()
