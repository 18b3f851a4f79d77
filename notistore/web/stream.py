"""The event stream of one recipient as an ASGI response, without a generator or a task per frame (docs/wire.md)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar

from .._log_throttle import LogThrottle
from ..errors import StoreError, TooManyStreams
from ..hub import Subscription, Writer
from ..hub.backplane import cancel
from ..hub.events import REFETCH, Event
from ..inbox import Inbox
from ..model import Recipient, to_millis, utc_now
from ..store import supports
from ._connection import close_connection
from ._daphne import count_bytes_of
from ._uvicorn import uvicorn_writer

__all__ = ["HEADERS", "StreamResponse", "begin", "begin_stream", "close_deadline", "subscribe"]

_log = logging.getLogger("notistore.web")
_failing, _refusing = LogThrottle(), LogThrottle()

T = TypeVar("T")
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Frames: TypeAlias = AbstractAsyncContextManager[AsyncIterator[bytes]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Leave: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Returns once the client has disconnected."""

HEADERS: Final = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}
_POLL: Final = 30_000  # milliseconds until a browser that got no stream polls again
_LONG: Final = 1.0  # seconds for the first count, after which a disconnect of the client is checked for
CLOSE_TIMEOUT: Final = 1.0  # seconds until unsent bytes of an ended stream are dropped


class StreamResponse:
    """The response to `GET .../stream`: the count first, then every event until either side ends it.

    It is an ASGI app for one request. Without ASGI, send `status` and `headers`, then the bytes of `frames()`.

    Without a hub, over a limit, or while the store fails, it sends the count if it can and ends with a `retry:`, which
    makes the browser poll: after an error status an EventSource does not reconnect.
    """

    __slots__ = ("_inbox", "_recipient", "resumed")

    status: Final = 200
    headers: Final[Mapping[str, str]] = HEADERS

    def __init__(self, inbox: Inbox, recipient: Recipient, *, resumed: bool = False) -> None:
        self.resumed = resumed
        self._inbox = inbox
        self._recipient = recipient

    @asynccontextmanager
    async def frames(
        self, *, live: bool = True, scope: Mapping[str, Any] | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes to send, as they come: `async with response.frames() as frames`, then `async for`.

        The iteration ends with the stream, or after the count if not `live`. Leaving the block ends the stream. If the
        client then reads nothing for a second, its unsent bytes are dropped.

        Args:
            live: continue after the count.
            scope: the request's scope on an ASGI server: the connection of a client that does not read is then closed.
                Without it the server has to close it.

        Raises:
            ConnectionResetError: a write in the block was cancelled, since the client does not read. Treat it as a
                disconnect: nothing more can be written.
        """
        async with self.begun(live=live) as begun, begun(scope) as frames:
            yield frames

    @asynccontextmanager
    async def begun(self, *, live: bool = True) -> AsyncIterator[Callable[[Mapping[str, Any] | None], Frames]]:
        """`frames` in two parts, for frameworks that send the body from another task than their handler's.

        The first subscribes and counts, and raises what the count raises. It yields a function from the `scope` to the
        second, which is entered and left in the task that sends.
        """
        async with begin_stream(self._inbox, self._recipient, resumed=self.resumed, live=live) as (greeting, stream):
            yield partial(_frames, greeting, stream)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await _start(send)
            await send({"type": "http.response.body", "body": b""})
            return
        async with subscribe(self._inbox, self._recipient) or nullcontext() as stream:
            beginning = begin(self._inbox, self._recipient, stream, resumed=self.resumed)
            begun = await _unless_client_leaves(partial(_wait_for_disconnect, receive), beginning)
            if begun is None:
                return
            greeting, lasts = begun
            await _start(send)
            await send({"type": "http.response.body", "body": greeting, "more_body": lasts})
            del beginning, begun, greeting  # released now, not when the stream ends
            if lasts and stream is not None:
                await _serve(stream, scope, receive, send)


@asynccontextmanager
async def begin_stream(
    inbox: Inbox, recipient: Recipient, *, resumed: bool = False, live: bool = True, leave: Leave | None = None
) -> AsyncIterator[tuple[bytes, Subscription | None]]:
    """The first bytes of a stream, and the subscription for the rest; None if it ends after the first.

    With `live=False` it always ends then, which makes browsers poll. If the client leaves before the first bytes, there
    are none; `leave` is called to wait for that.
    """
    async with (subscribe(inbox, recipient) if live else None) or nullcontext() as stream:
        beginning = begin(inbox, recipient, stream, resumed=resumed)
        begun = await (_unless_client_leaves(leave, beginning) if leave else beginning)
        greeting, lasts = begun or (b"", False)
        yield greeting, stream if lasts else None


@asynccontextmanager
async def _frames(
    greeting: bytes, stream: Subscription | None, scope: Mapping[str, Any] | None
) -> AsyncIterator[AsyncIterator[bytes]]:
    if stream is None:
        yield _chain(greeting)
        return
    # The caller may never ask for the next bytes: an async generator that is abandoned, as by Django when a client
    # aborts, ends only when it is garbage collected.
    task = asyncio.current_task()
    assert task is not None
    end = partial(_end, stream)
    task.add_done_callback(end)
    try:
        async with close_deadline(stream, scope=scope) as deadline:
            yield _chain(greeting, stream)
    except TimeoutError:
        if not deadline.expired():
            raise
        raise ConnectionResetError(f"the reader took nothing for {CLOSE_TIMEOUT} s after its end") from None
    finally:
        task.remove_done_callback(end)


def _end(stream: Subscription, task: asyncio.Task[Any]) -> None:
    stream.end("left")


async def _chain(greeting: bytes, stream: Subscription | None = None) -> AsyncIterator[bytes]:
    yield greeting
    if stream is not None:
        count = count_bytes_of(stream)
        async for data in stream:
            if count is not None:
                count(data)
            yield data


async def begin(
    inbox: Inbox, recipient: Recipient, stream: Subscription | None, *, resumed: bool
) -> tuple[bytes, bool]:
    """The first bytes of a stream, and whether it continues. It subscribes before it counts, so that no event is
    missed. If the store does not answer, it returns soon after the stream has ended, which a shutdown waits for."""
    limit = close_deadline(stream) if stream is not None and not inbox.blocking else nullcontext()
    try:
        async with limit:
            if stream is not None and stream.counter is not None and supports(inbox.store, "unread_counts"):
                unread = await stream.unread_count()
            else:
                unread = await inbox.unread_count(recipient)
    except TimeoutError:
        if not (isinstance(limit, close_deadline) and limit.expired()):
            raise
        return f"retry: {_soon()}\n\n".encode(), False
    except StoreError:
        _failing.log(_log.exception, "the store failed while a stream began; the browser will retry")
        return f"retry: {_soon()}\n\n".encode(), False
    retry = _POLL if stream is None else _soon()
    greeting = Event.count(unread, id=str(to_millis(utc_now())), retry=retry).encode()
    if resumed:
        greeting += REFETCH.encode()
    return greeting, stream is not None


async def _unless_client_leaves(leave: Leave, begin: Coroutine[Any, Any, T]) -> T | None:
    """The result; None if the client disconnected meanwhile. Otherwise, if the store hangs, streams of disconnected
    clients would count towards the limit."""
    beginning = asyncio.create_task(begin)
    waiting: list[asyncio.Task[Any]] = [beginning]
    try:
        done, _ = await asyncio.wait(waiting, timeout=_LONG)
        if not done:
            waiting.append(asyncio.create_task(leave()))
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return beginning.result() if beginning.done() else None
    finally:
        await cancel(*waiting)


def subscribe(inbox: Inbox, recipient: Recipient) -> Subscription | None:
    if inbox.hub is None:
        return None
    try:
        return inbox.hub.subscribe(recipient, counter=None if inbox.blocking else inbox)
    except TooManyStreams as error:
        _refusing.log(_log.warning, "a stream ends after its count, and the browser polls: %s", error)
        return None


def _soon() -> int:
    """Milliseconds until a browser reconnects, with jitter, so that after a restart not all reconnect at once."""
    return random.randint(1000, 3000)


async def _serve(stream: Subscription, scope: Scope, receive: Receive, send: Send) -> None:
    """Write the stream's events until it ends or the client disconnects."""
    write = partial(_write, send, count_bytes_of(stream))
    writer = uvicorn_writer(stream, write, scope, send) or Writer(stream, write)
    stream.write_to(writer)
    try:
        try:
            async with close_deadline(stream, 0) as limit:
                await _wait_for_disconnect(receive)
        except TimeoutError:
            if not limit.expired():
                raise
        stream.end("left")
        async with close_deadline(stream, scope=scope) as limit:
            await writer.drain()
            await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        if not limit.expired():
            raise
        _log.info("a stream's client read nothing for %s s after the stream's end (%s)", CLOSE_TIMEOUT, stream.ended)
        writer.abort()
        with suppress(TimeoutError):  # the connection could not be closed
            await asyncio.wait_for(_wait_for_disconnect(receive), CLOSE_TIMEOUT)
    finally:
        await writer.cancel()


async def _write(send: Send, count: Callable[[bytes], None] | None, data: bytes) -> None:
    if count is not None:
        count(data)
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has disconnected. If the server does not report it, wait until cancelled.

    After the request's body ASGI allows no message but `http.disconnect`. aiohttp-asgi repeats the empty body without
    waiting: to continue receiving would block the event loop.
    """
    complete = False
    while (message := await receive())["type"] != "http.disconnect":
        if complete:
            await asyncio.get_running_loop().create_future()
        complete = not message.get("more_body", False)


class close_deadline:  # noqa: N801 - used as a function is, as asyncio.timeout
    """Raises TimeoutError in the task if it is still in the block this number of seconds after the stream has ended.

    A client that does not read would otherwise block that task, and the server's shutdown. With a `scope` its
    connection is closed too: not by that task, which may be inside one of the server's writes. After a full backlog and
    once the hub is closed, that is also done where the task has left the block but the client has not taken all bytes:
    the server may have buffered the rest, and its shutdown waits.
    """

    __slots__ = ("_closing", "_limit", "_scope", "_seconds", "_stream")

    def __init__(
        self, stream: Subscription, seconds: float = CLOSE_TIMEOUT, *, scope: Mapping[str, Any] | None = None
    ) -> None:
        self._stream = stream
        self._seconds = seconds
        self._scope = scope
        self._limit = asyncio.timeout(None)
        self._closing: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._stream.on_end = self._end_soon
        if self._stream.ended:
            self._end_soon()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.on_end = None
        # A task that the server cancels during its shutdown leaves a connection that still has to be closed.
        if self._closing is not None and self._scope is not None and kind is None:
            self._closing.cancel()
            if self._stream.ended in ("backlog", "closed"):  # of many that end, as at a lifetime, the search is costly
                end, close = self._closing.when(), partial(close_connection, self._scope, if_unsent=True)
                asyncio.get_running_loop().call_at(end, close)
        await self._limit.__aexit__(kind, error, traceback)

    def expired(self) -> bool:
        """Whether the TimeoutError was raised by this deadline."""
        return self._limit.expired()

    def _end_soon(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        self._limit.reschedule(end)
        if self._scope is not None and self._stream.ended != "left":
            self._closing = loop.call_at(end, close_connection, self._scope)


async def _start(send: Send) -> None:
    # A copy: middleware adds to it, for example a session cookie.
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
