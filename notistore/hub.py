"""SseHub: fan-out of events to the open streams of one recipient, on this process and others."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, Self, TypeAlias

from ._relay import EVERYONE, Relay
from ._seldom import Seldom
from ._stepping import POSSIBLE, Stepper, Write
from .backplane import Backplane
from .errors import InvalidArgument, TooManyStreams
from .model import Recipient
from .sse import HEARTBEAT, SOMETHING_CHANGED, Event

__all__ = ["EndReason", "HubStats", "SseHub", "Subscription"]

EndReason: TypeAlias = Literal["left", "backlog", "lifetime", "closed"]
"""Why a stream ended: its reader left, fell too far behind, had it long enough, or the hub was closed."""

CountMany: TypeAlias = Callable[[Sequence[Recipient]], Awaitable[Mapping[Recipient, int]]]
"""Counts the unread notifications of many recipients; an `Inbox` gives its hub one."""

_log = logging.getLogger("notistore.hub")

_TICK: Final = 15.0  # seconds between looks at the streams' lifetimes where there are no heartbeats
_AT_ONCE: Final = 100  # recipients given a fresh count in one query after a gap
_PACE: Final = 0.001  # seconds per recipient: half of what is promised, for the query takes its own time
_SLICE: Final = 100  # streams that are given something in one tick: others get their turn in between
_FAREWELL: Final = 2.0  # seconds that what was published has to leave before the process ends


class Subscription:
    """One open stream of one recipient: an async context manager, and an async iterator of bytes to write as they are.

    Each item is everything that has happened since the last one. Iteration stops when the stream has ended. Leaving
    the context ends it. Made by `SseHub.subscribe`; to be read by one task at a time.

    Attributes:
        recipient: whose stream it is.
        ended: why the stream has ended; None while it is open.
        on_end: called once, when it ends.
    """

    __slots__ = (
        "_backlog",
        "_expires",
        "_hub",
        "_key",
        "_limit",
        "_size",
        "_stepper",
        "_waiter",
        "ended",
        "on_end",
        "recipient",
    )

    def __init__(self, hub: SseHub, recipient: Recipient, key: str, *, backlog: int, expires: float) -> None:
        self.recipient = recipient
        self._hub = hub
        self._key = key
        self._limit = backlog
        self._expires = expires
        self._backlog: list[bytes] = []  # an empty deque would take 760 bytes of every idle stream
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._stepper: Stepper | None = None
        self.ended: EndReason | None = None
        self.on_end: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._hub._join(self._key)
        except BaseException:
            self.end("left")
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.end("left")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._backlog:
            if self.ended:
                raise StopAsyncIteration
            await self._next_wake()
        return self._take()

    def pump(self, write: Write) -> asyncio.Task[None]:
        """Start a task that calls `write` with each item in turn and, when the stream has ended, with b"".

        It is the cheapest way to read a stream, in place of `async for`: while the task has nothing to do, the hub
        runs `write` in the task's name instead of waking it (see `_stepping`). What `write` raises ends the task.
        """
        context = copy_context()
        return asyncio.create_task(self._pump(write, context), context=context)

    async def _pump(self, write: Write, context: Context) -> None:
        stepper = Stepper(write, context)
        self._stepper = stepper if POSSIBLE else None
        try:
            while self._backlog or not self.ended:
                if self._backlog:
                    await write(self._take())
                else:
                    await stepper.wait(self._next_wake())
            await write(b"")
        finally:
            self._stepper = None

    def end(self, reason: EndReason) -> None:
        """End the stream. What it has not yet written is still given out, except to a reader that is too slow."""
        if self.ended:
            return
        self.ended = reason
        if reason == "backlog":
            self._backlog.clear()
            self._size = 0
        self._hub._remove(self._key, self)
        self._wake()
        if self.on_end is not None:
            self.on_end()

    def _give(self, data: bytes) -> bool:
        """Have it written here and now, if that can be. Only from a callback of the event loop."""
        if self._stepper is None or self._waiter is None or self._waiter.done() or len(data) > self._limit:
            return self._offer(data)
        if not self._stepper.step(data):
            self._wake()
        return True

    def _offer(self, data: bytes) -> bool:
        """Keep it for whoever reads the stream."""
        if self.ended:
            return False
        if self._size + len(data) > self._limit:
            self.end("backlog")
            return False
        self._backlog.append(data)
        self._size += len(data)
        self._wake()
        return True

    def _beat(self, now: float, comment: bytes | None) -> None:
        if now >= self._expires:
            self.end("lifetime")
        elif comment is not None and not self._backlog:
            self._give(comment)

    def _take(self) -> bytes:
        waiting = b"".join(self._backlog) if len(self._backlog) > 1 else self._backlog[0]
        self._backlog.clear()
        self._size = 0
        return waiting

    def _next_wake(self) -> asyncio.Future[None]:
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass(frozen=True, slots=True)
class HubStats:
    """What the hub holds now, and what it has done since it was made.

    Attributes:
        streams: open streams.
        recipients: recipients with at least one.
        published: events given to `publish`.
        delivered: events handed to a stream, one for each stream.
        ended: streams that have ended, by reason.
        backplane: "none", "ok", or "failing" while nothing can be published to other processes.
        publish_failures: calls to publish that the backplane could not carry out.
        gaps: how often messages of other processes may have been missed; each gave every stream a fresh count.
    """

    streams: int
    recipients: int
    published: int
    delivered: int
    ended: dict[EndReason, int]
    backplane: Literal["none", "ok", "failing"]
    publish_failures: int
    gaps: int


class SseHub:
    """Carries events to the open streams of each recipient: of this process and, with a backplane, of every other.

    `publish` only notes the event: it is encoded once, joined with what else its recipient gets in the same tick of
    the event loop, and the bytes are shared by all of the recipient's streams, of which a hundred get theirs in a tick.
    Each stream is written by its own reader, which falls behind alone: past `backlog` its stream is ended, and it
    catches up from the store when it reconnects.

    It may be made anywhere, and belongs to the event loop it is first subscribed on, for as long as that is open.
    `publish` and `close` may be called from any thread, `close` from a signal handler too. Where it has a backplane
    use it as an async context manager in the application's lifespan: that begins to connect before the first request,
    and lets what was published leave before the process ends.

    Args:
        backplane: carries events between processes; None for a hub that is alone.
        heartbeat: seconds between comments on a quiet stream; None for none.
        lifetime: seconds after which a stream is ended, so that the browser reconnects, is authorised anew and gets a
            fresh count; spread by 10 % so that streams do not all return at once. None for no end.
        backlog: the most bytes that may wait for one reader; what one recipient gets in one tick has to fit in it.
        streams_per_recipient: the most open streams of one recipient.
        streams: the most open streams in all.
    """

    def __init__(
        self,
        backplane: Backplane | None = None,
        *,
        heartbeat: float | None = 15.0,
        lifetime: float | None = 600.0,
        backlog: int = 256 * 1024,
        streams_per_recipient: int = 32,
        streams: int = 50_000,
    ) -> None:
        for name, seconds in (("heartbeat", heartbeat), ("lifetime", lifetime)):
            if seconds is not None and not seconds > 0:
                raise InvalidArgument(name, f"expected seconds above 0, or None for none; got {seconds!r}")
        self.count: CountMany | None = None
        self._backplane = backplane
        self._relay: Relay | None = None
        self._heartbeat = heartbeat
        self._lifetime = lifetime
        self._backlog = backlog
        self._most_per_recipient = streams_per_recipient
        self._most = streams
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._streams: dict[str, dict[Subscription, None]] = {}
        self._open = 0
        self._pending: dict[str, bytearray] = {}
        self._delivering: Iterator[tuple[Subscription, bytes, int]] | None = None
        self._closed = False
        self._published = 0
        self._delivered = 0
        self._ended: Counter[EndReason] = Counter()
        self._gaps = 0
        self._behind = False
        self._catching_up: asyncio.Task[None] | None = None
        self._uncounted = Seldom()

    async def __aenter__(self) -> Self:
        self._join_loop()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    @property
    def closed(self) -> bool:
        """Whether `close` has been called; every new stream then ends as soon as it has begun."""
        return self._closed

    def subscribe(self, recipient: Recipient) -> Subscription:
        """Open a stream: from here on every event of this recipient waits for its reader.

        Subscribe first, then count, then send the count: no event can fall between.

        Raises:
            TooManyStreams: this recipient, or the hub, has as many as it was told to allow.
            RuntimeError: the hub belongs to another event loop, which is still open.
        """
        loop = self._join_loop()
        key = _key(recipient)
        if len(self._streams.get(key, ())) >= self._most_per_recipient:
            raise TooManyStreams(f"this recipient already has {self._most_per_recipient} open streams")
        if self._open >= self._most:
            raise TooManyStreams(f"this hub already has {self._most} open streams")
        lifetime = float("inf") if self._lifetime is None else self._lifetime * random.uniform(0.9, 1.1)
        stream = Subscription(self, recipient, key, backlog=self._backlog, expires=loop.time() + lifetime)
        self._streams.setdefault(key, {})[stream] = None
        self._open += 1
        if self._closed:
            stream.end("closed")
        elif self._timer is None:
            self._timer = loop.call_later(self._interval, self._beat)
        return stream

    def publish(self, recipient: Recipient, *events: Event) -> None:
        """Give events to every open stream of `recipient`. Never blocks and never waits for a reader.

        Raises:
            InvalidArgument: something is not an `Event`.
            RuntimeError: it has a backplane, and no event loop has been known to it yet.
        """
        self._send(_key(recipient), events)

    def broadcast(self, *events: Event) -> None:
        """Give events to every open stream of everyone, on every process. Raises as `publish` does."""
        self._send(EVERYONE, events)

    async def flush(self) -> None:
        """Return once everything published has been handed to the streams' readers and to the backplane.

        While the backplane cannot publish that is not before it can again: give it a timeout.
        """
        self._flush()
        if self._relay is not None:
            await self._relay.drain()

    def is_online(self, recipient: Recipient) -> bool:
        """Whether this recipient has an open stream on this hub."""
        return _key(recipient) in self._streams

    def online(self) -> list[Recipient]:
        """The recipients that have an open stream on this hub."""
        return [next(iter(streams)).recipient for streams in self._streams.values()]

    def stats(self) -> HubStats:
        """The hub's counters, now."""
        return HubStats(
            streams=self._open,
            recipients=len(self._streams),
            published=self._published,
            delivered=self._delivered,
            ended=dict(self._ended),
            backplane="none" if self._relay is None else "failing" if self._relay.failing else "ok",
            publish_failures=0 if self._relay is None else self._relay.failures,
            gaps=self._gaps,
        )

    def close(self) -> None:
        """End every stream at once, and every later one as it begins, so that a server can shut down. Idempotent."""
        self._closed = True
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        # Never directly: a signal handler runs between any two instructions of whatever it interrupted.
        loop.call_soon_threadsafe(self._end_all)

    async def aclose(self) -> None:
        """Close, give what was published two seconds to leave for other processes, and end the backplane."""
        self._closed = True
        self._end_all()
        if self._catching_up is not None:
            self._catching_up.cancel()
        relay, self._relay = self._relay, None
        if relay is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(relay.drain(), _FAREWELL)
            await relay.close()

    @property
    def _interval(self) -> float:
        return min(self._heartbeat or _TICK, self._lifetime or _TICK)

    def _join_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("this SseHub belongs to another event loop, still open; make one hub for each loop")
            # What was to happen on a loop that has closed never will.
            self._timer = None
            self._pending.clear()
            self._delivering = None
            for stream in tuple(self._all()):
                stream._waiter = None
                stream.end("closed")
            self._loop = loop
            if self._backplane is not None:
                self._relay = Relay(self._backplane, self._hold, self._missed)
        return loop

    async def _join(self, key: str) -> None:
        if self._relay is not None:
            await self._relay.join(key)

    def _send(self, key: str, events: tuple[Event, ...]) -> None:
        for event in events:
            if not isinstance(event, Event):
                raise InvalidArgument("event", f'expected an Event, such as Event("maintenance"); got {event!r}')
        self._published += len(events)
        loop = self._loop
        if loop is None:
            if self._backplane is None:
                return  # nobody has ever subscribed
            loop = self._join_loop()
        if _is_running(loop):
            self._enqueue(key, events)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(self._enqueue, key, events)

    def _enqueue(self, key: str, events: tuple[Event, ...]) -> None:
        relay = self._relay
        if not events or (relay is None and key != EVERYONE and key not in self._streams):
            return
        data = b"".join([event.encode() for event in events])
        self._hold(key, data)
        if relay is not None:
            relay.send(key, data)

    def _hold(self, key: str, data: bytes) -> None:
        """Keep it for the end of this tick, or until what came before it has been handed out."""
        if key in self._streams or key == EVERYONE:
            waiting = self._pending.setdefault(key, bytearray())
            waiting += data
            if self._delivering is None:
                self._delivering = self._deliver()
                asyncio.get_running_loop().call_soon(self._hand_out)
            if len(waiting) > self._backlog // 2:
                self._flush()  # joined with still more it would be too much for a reader that keeps up

    def _hand_out(self) -> None:
        """Give the next hundred streams what there is for them, and look after the others in the next tick."""
        try:
            for stream, data, events in islice(self._delivering or (), _SLICE):
                if stream._give(data):
                    self._delivered += events
        finally:
            if self._delivering is not None:
                asyncio.get_running_loop().call_soon(self._hand_out)

    def _flush(self) -> None:
        """Give every stream what there is for it. May run in a task, and so writes nothing itself."""
        for stream, data, events in self._delivering or ():
            if stream._offer(data):
                self._delivered += events

    def _deliver(self) -> Iterator[tuple[Subscription, bytes, int]]:
        """Each stream, all there is for its recipient, and how many events that is."""
        while self._pending:
            pending, self._pending = self._pending, {}
            for key, joined in pending.items():
                data = bytes(joined)
                events = data.count(b"\n\n")
                for stream in tuple(self._all() if key == EVERYONE else self._streams.get(key, ())):
                    yield stream, data, events
        self._delivering = None

    def _missed(self) -> None:
        self._gaps += 1
        self._behind = True
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Give every stream a fresh count and have it refetch, a hundred recipients at a time."""
        while self._behind:
            self._behind = False
            recipients = self.online()
            for start in range(0, len(recipients), _AT_ONCE):
                some = recipients[start : start + _AT_ONCE]
                counts = await self._count_many(some)
                for recipient in some:
                    frames = SOMETHING_CHANGED.encode()
                    if recipient in counts:
                        frames = Event.count(counts[recipient]).encode() + frames
                    self._hold(_key(recipient), frames)
                await asyncio.sleep(_AT_ONCE * _PACE)

    async def _count_many(self, recipients: Sequence[Recipient]) -> Mapping[Recipient, int]:
        try:
            return await self.count(recipients) if self.count is not None else {}
        except Exception:
            if (unsaid := self._uncounted.unsaid()) is not None:
                _log.exception("no unread counts after a gap; streams are told to refetch (%d more before)", unsaid)
            return {}

    def _beat(self) -> None:
        self._timer = None
        if self._open and self._loop is not None:
            self._timer = self._loop.call_later(self._interval, self._beat)
            self._beat_some(iter(tuple(self._all())))

    def _beat_some(self, streams: Iterator[Subscription]) -> None:
        """A heartbeat for the next hundred, and an end for those that are too old."""
        loop = asyncio.get_running_loop()
        now, comment = loop.time(), HEARTBEAT if self._heartbeat is not None else None
        for n, stream in enumerate(streams, 1):
            stream._beat(now, comment)
            if n == _SLICE:
                loop.call_soon(self._beat_some, streams)
                break

    def _end_all(self) -> None:
        self._flush()
        for stream in tuple(self._all()):
            stream.end("closed")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _all(self) -> Iterator[Subscription]:
        for streams in self._streams.values():
            yield from streams

    def _remove(self, key: str, stream: Subscription) -> None:
        streams = self._streams[key]
        del streams[stream]
        if not streams:
            del self._streams[key]
            if self._relay is not None:
                self._relay.leave(key)
        self._open -= 1
        self._ended[stream.ended or "left"] += 1


def _key(recipient: Recipient) -> str:
    # Lengths first, so that tenant "a:b" with id "c" is never tenant "a" with id "b:c".
    tenant, type = recipient.tenant or "", recipient.type
    return f"{len(tenant)}:{tenant}{len(type)}:{type}{recipient.id}"


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
