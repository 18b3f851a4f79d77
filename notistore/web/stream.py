"""The event stream of one recipient as an ASGI response of its own: no generator, no task per frame (DESIGN 6, 7)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final, TypeAlias

from ..errors import StoreError, TooManyStreams
from ..hub import Subscription
from ..inbox import Inbox
from ..model import Recipient, to_millis, utc_now
from ..sse import SOMETHING_CHANGED, Event

__all__ = ["HEADERS", "StreamResponse", "ending_in_time", "opening"]

_log = logging.getLogger("notistore.web")

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HEADERS: Final = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
_POLL: Final = 30_000  # milliseconds until a browser that was given no stream comes back for its count
_GRACE: Final = 1.0  # seconds a reader has to take what is left once its stream has ended


class StreamResponse:
    """Serves `GET .../stream`: the count first, then every event until either side ends it.

    Without a hub, past a cap, or while the store fails, it gives what it can and ends with a `retry:` that makes the
    browser poll: an error status would end an EventSource for good.
    """

    def __init__(self, inbox: Inbox, recipient: Recipient, *, resumed: bool = False) -> None:
        self._inbox = inbox
        self._recipient = recipient
        self._resumed = resumed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await _start(send)
            await _write(send, b"", last=True)
            return
        async with opening(self._inbox, self._recipient, resumed=self._resumed) as (greeting, stream):
            await _start(send)
            await _write(send, greeting, last=stream is None)
            if stream is not None:
                await _pump(stream, receive, send)


@asynccontextmanager
async def opening(
    inbox: Inbox, recipient: Recipient, *, resumed: bool = False, live: bool = True
) -> AsyncIterator[tuple[bytes, Subscription | None]]:
    """What a stream begins with, and what it goes on with; None where it ends there. Not `live` is as without a hub."""
    async with (_subscribe(inbox, recipient) if live else None) or nullcontext() as stream:
        try:
            # Subscribed before counted: no event can fall between the two.
            unread = await inbox.unread_count(recipient)
        except StoreError:
            _log.exception("the store failed while a stream began; its browser tries again")
            stream, greeting = None, f"retry: {_soon()}\n\n".encode()
        else:
            retry = _POLL if stream is None else _soon()
            greeting = Event.count(unread, id=str(to_millis(utc_now())), retry=retry).encode()
            if resumed:
                greeting += SOMETHING_CHANGED.encode()
        yield greeting, stream


def _subscribe(inbox: Inbox, recipient: Recipient) -> Subscription | None:
    if inbox.hub is None:
        return None
    try:
        return inbox.hub.subscribe(recipient)
    except TooManyStreams as error:
        _log.warning("a stream was turned to polling: %s", error)
        return None


def _soon() -> int:
    """Milliseconds until a browser reconnects, spread so that a restart does not bring all back at once."""
    return random.randint(1000, 3000)


async def _pump(stream: Subscription, receive: Receive, send: Send) -> None:
    """Write what the stream gives until it ends; end it when the client has gone."""
    leaving = asyncio.create_task(_end_when_gone(stream, receive))
    try:
        # In a task of its own: to wake this one is to run down through all the middleware it is in, at every event.
        await asyncio.create_task(_write_events(stream, send))
    finally:
        leaving.cancel()


async def _write_events(stream: Subscription, send: Send) -> None:
    try:
        async with ending_in_time(stream):
            async for data in stream:
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await _write(send, b"", last=True)
    except TimeoutError:
        _log.info("a stream's reader took nothing for %s s after its end (%s)", _GRACE, stream.ended)


@asynccontextmanager
async def ending_in_time(stream: Subscription) -> AsyncIterator[None]:
    """Raises TimeoutError in whoever still writes a stream a second after it has ended: a reader that takes nothing
    more would otherwise hold that task, and the server's shutdown, for ever."""
    try:
        async with asyncio.timeout(None) as limit:
            stream.on_end = lambda: limit.reschedule(asyncio.get_running_loop().time() + _GRACE)
            if stream.ended:
                stream.on_end()
            yield
    finally:
        stream.on_end = None


async def _end_when_gone(stream: Subscription, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end("left")


async def _start(send: Send) -> None:
    # A list of its own: middleware adds to it, a session's cookie for one.
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _write(send: Send, data: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": not last})
