"""The event stream of one recipient as an ASGI response of its own: no generator, no task per frame (docs/wire.md)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final, Self, TypeAlias

from .._seldom import Seldom
from ..errors import StoreError, TooManyStreams
from ..hub import Subscription
from ..inbox import Inbox
from ..model import Recipient, to_millis, utc_now
from ..sse import SOMETHING_CHANGED, Event

__all__ = ["HEADERS", "StreamResponse", "ending_in_time", "opening"]

_log = logging.getLogger("notistore.web")
_failing, _refusing = Seldom(), Seldom()

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
            await send({"type": "http.response.body", "body": b""})
            return
        async with _subscribe(self._inbox, self._recipient) or nullcontext() as stream:
            greeting, lasts = await _begin(self._inbox, self._recipient, stream, resumed=self._resumed)
            await _start(send)
            await send({"type": "http.response.body", "body": greeting, "more_body": lasts})
            del greeting  # not for as long as the stream lasts
            if lasts and stream is not None:
                await _serve(stream, receive, send)


@asynccontextmanager
async def opening(
    inbox: Inbox, recipient: Recipient, *, resumed: bool = False, live: bool = True
) -> AsyncIterator[tuple[bytes, Subscription | None]]:
    """What a stream begins with, and what it goes on with; None where it ends there. Not `live` is as without a hub."""
    async with (_subscribe(inbox, recipient) if live else None) or nullcontext() as stream:
        greeting, lasts = await _begin(inbox, recipient, stream, resumed=resumed)
        yield greeting, stream if lasts else None


async def _begin(
    inbox: Inbox, recipient: Recipient, stream: Subscription | None, *, resumed: bool
) -> tuple[bytes, bool]:
    """What a stream begins with, and whether it goes on. Subscribed before counted: no event falls between the two."""
    try:
        unread = await inbox.unread_count(recipient)
    except StoreError:
        if (unsaid := _failing.unsaid()) is not None:
            _log.exception("the store failed while a stream began; its browser tries again (%d more before)", unsaid)
        return f"retry: {_soon()}\n\n".encode(), False
    retry = _POLL if stream is None else _soon()
    greeting = Event.count(unread, id=str(to_millis(utc_now())), retry=retry).encode()
    if resumed:
        greeting += SOMETHING_CHANGED.encode()
    return greeting, stream is not None


def _subscribe(inbox: Inbox, recipient: Recipient) -> Subscription | None:
    if inbox.hub is None:
        return None
    try:
        return inbox.hub.subscribe(recipient)
    except TooManyStreams as error:
        if (unsaid := _refusing.unsaid()) is not None:
            _log.warning("a stream was turned to polling: %s (%d more before)", error, unsaid)
        return None


def _soon() -> int:
    """Milliseconds until a browser reconnects, spread so that a restart does not bring all back at once."""
    return random.randint(1000, 3000)


async def _serve(stream: Subscription, receive: Receive, send: Send) -> None:
    """Write what the stream gives until it ends; end it when the client has gone.

    The writing is a task of its own, so that the hub can run `write` in its name, and neither a write that waits nor
    the wait for the client holds up the other.
    """

    async def write(data: bytes) -> None:
        await send({"type": "http.response.body", "body": data, "more_body": data != b""})

    writing = stream.pump(write)
    try:
        async with ending_in_time(stream) as limit:
            writing.add_done_callback(limit.end_now)
            while (await receive())["type"] != "http.disconnect":
                pass
            stream.end("left")
            writing.remove_done_callback(limit.end_now)
            await asyncio.wait([writing])
    except TimeoutError:
        if not limit.expired():
            raise
        if not writing.done():
            _log.info("a stream's reader took nothing for %s s after its end (%s)", _GRACE, stream.ended)
    finally:
        if writing.cancel():
            await asyncio.wait([writing])
    if not writing.cancelled():
        writing.result()


class ending_in_time:  # noqa: N801 - it reads as what it does
    """Raises TimeoutError in whoever still writes a stream a second after it has ended: a reader that takes nothing
    more would otherwise hold that task, and the server's shutdown, for ever."""

    __slots__ = ("_limit", "_stream")

    def __init__(self, stream: Subscription) -> None:
        self._stream = stream
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._stream.on_end = self._end_soon
        if self._stream.ended:
            self._end_soon()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._stream.on_end = None
        await self._limit.__aexit__(*exc)

    def expired(self) -> bool:
        """Whether the TimeoutError that was raised is this one."""
        return self._limit.expired()

    def end_now(self, _: object) -> None:
        """There is nothing left to wait for."""
        self._end_at(0)

    def _end_soon(self) -> None:
        if self._limit.when() is None:
            self._end_at(asyncio.get_running_loop().time() + _GRACE)

    def _end_at(self, when: float) -> None:
        if self._stream.on_end is not None and not self._limit.expired():
            self._limit.reschedule(when)


async def _start(send: Send) -> None:
    # A list of its own: middleware adds to it, a session's cookie for one.
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
