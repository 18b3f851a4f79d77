"""SseHub: fan-out of events to the open streams of one recipient, on this process and others.

The path of an event: `publish` passes it to `Delivery.add`, which joins it with the recipient's other events of this
tick of the event loop. `Delivery` calls `Subscription._write_or_enqueue` for each stream, which passes it to a
`Writer`, or appends it to the backlog until the stream's reader takes it. For other processes `publish` also passes it
to the `Relay`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import EllipsisType
from typing import Final, Literal, Self

from .._log_throttle import LogThrottle
from ..errors import InvalidArgument, TooManyStreams
from ..model import Recipient
from .backplane import Backplane
from .catch_up import CatchUp, CountsUnread
from .connect_counts import ConnectCounts
from .delivery import SLICE, Delivery
from .events import STORED, Event
from .heartbeat import Heartbeat
from .message import Kind, Message
from .relay import Relay
from .streams import EVERYONE, Streams, key_of, tenant_address
from .subscription import EndReason, Subscription

__all__ = ["HubStats", "SseHub"]

_log = logging.getLogger("notistore.hub")

_MIN_SECRET_BYTES: Final = 16

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that `aclose` waits until published events have been sent to other processes."""


@dataclass(frozen=True, slots=True)
class HubStats:
    """The hub's state now, and its counters since it was created.

    Attributes:
        streams: open streams.
        recipients: recipients with at least one.
        published: events given to `publish`.
        delivered: events passed to streams, counted once for each stream.
        ended: streams that have ended, by reason.
        backplane: "none"; "ok"; or "failing" while publishing to other processes fails.
        publish_failures: failed calls of the backplane's `publish`.
        rejected: received messages that were not sent by a hub with this hub's secret.
        gaps: how often messages of other processes may have been missed, after which every stream gets its current
            count.
    """

    streams: int
    recipients: int
    published: int
    delivered: int
    ended: dict[EndReason, int]
    backplane: Literal["none", "ok", "failing"]
    publish_failures: int
    rejected: int
    gaps: int


class SseHub:
    """Delivers events to the open streams of each recipient, in this process and, with a backplane, in others.

    `publish` returns at once. The event is encoded once and joined with the recipient's other events of the same tick
    of the event loop; the bytes are shared by all of the recipient's streams, and a hundred streams are written to per
    tick. A slow reader does not delay others: if its backlog exceeds `backlog` its stream is ended, and the client
    reads the current state from the store when it reconnects.

    It may be created anywhere, and belongs to the event loop of its first subscription until that loop is closed.
    `publish`, `broadcast`, `end` and `close` may be called from any thread, `close` from a signal handler too. With a
    backplane, use it as an async context manager in the application's lifespan: it then connects before the first
    request, and sends published events before the process ends. It may be entered again after it was closed.

    Args:
        backplane: carries events between processes; None for a single process.
        secret: at least 16 bytes known only to the processes' hubs, which sign their messages with it. Without one the
            backplane carries no events, only which recipients' streams have to refetch: so other clients of its server
            can neither send events to users nor read them.
        heartbeat: seconds between comments on a quiet stream; None for none.
        lifetime: seconds after which a stream is ended, so that the browser reconnects, is authorised again and gets
            the current count; with a jitter of 10 %. None for no limit.
        backlog: the maximum number of bytes that wait for one reader; a recipient's events of one tick must fit in it.
        streams_per_recipient: the maximum number of open streams of one recipient.
        streams: the maximum number of open streams in total.
        direct_writes: let the web mounts write to the server's transport if they can (on uvicorn, if no middleware
            wraps `send`), at half the cost; with False every write awaits `send`.
    """

    def __init__(
        self,
        backplane: Backplane | None = None,
        *,
        secret: str | bytes | None = None,
        heartbeat: float | None = 15.0,
        lifetime: float | None = 600.0,
        backlog: int = 256 * 1024,
        streams_per_recipient: int = 32,
        streams: int = 50_000,
        direct_writes: bool = True,
    ) -> None:
        for name, seconds in (("heartbeat", heartbeat), ("lifetime", lifetime)):
            if seconds is not None and not seconds > 0:
                raise InvalidArgument(name, f"expected a number of seconds above 0, or None; got {seconds!r}")
        if isinstance(secret, str):
            secret = secret.encode()
        if secret is not None and len(secret) < _MIN_SECRET_BYTES:
            raise InvalidArgument("secret", f"expected at least {_MIN_SECRET_BYTES} bytes, got {len(secret)}")
        self.direct_writes = direct_writes
        self._backplane = backplane
        self._secret = secret
        self._relay: Relay | None = None
        self._lifetime = lifetime
        self._backlog = backlog
        self._most_per_recipient = streams_per_recipient
        self._most = streams
        self._streams = Streams()
        self._delivery = Delivery(self._streams, backlog)
        self._heartbeat = Heartbeat(self._streams, interval=heartbeat, lifetime=lifetime)
        self._catch_up = CatchUp(self._streams)
        self._connect_counts = ConnectCounts()
        self._not_carried = LogThrottle()
        self._batches: deque[Iterator[Callable[[], None]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._closed = False
        self._published = 0
        self._ended: Counter[EndReason] = Counter()

    async def __aenter__(self) -> Self:
        self._join_loop()
        self._start_relay()  # again, if it was closed on this loop
        self._closed = False
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    @property
    def closed(self) -> bool:
        """Whether `close` has been called. New streams then end at once."""
        return self._closed

    def subscribe(self, recipient: Recipient, *, counter: CountsUnread | None = None) -> Subscription:
        """Open a stream: from now on every event of this recipient is queued for its reader.

        Subscribe first, then read the count, then send it, so that no event between is missed.

        Args:
            recipient: the recipient whose events it gets.
            counter: the `Inbox` that counts the recipient's unread notifications: for `Subscription.unread_count`, and
                for the count that streams get after messages of other processes may have been missed. With None they
                get no count then, only the event on which clients refetch.

        Raises:
            TooManyStreams: this recipient, or the hub, has the maximum number of streams.
            RuntimeError: the hub belongs to another event loop, which is still open.
        """
        loop = self._join_loop()
        key = key_of(recipient)
        if self._streams.count(key) >= self._most_per_recipient:
            raise TooManyStreams(f"this recipient already has {self._most_per_recipient} open streams")
        if len(self._streams) >= self._most:
            raise TooManyStreams(f"this hub already has {self._most} open streams")
        lifetime = float("inf") if self._lifetime is None else self._lifetime * random.uniform(0.9, 1.1)
        stream = Subscription(
            self, recipient, key, counter=counter, backlog=self._backlog, expires=loop.time() + lifetime
        )
        self._streams.add(key, stream)
        if self._closed:
            stream.end("closed")
        else:
            self._heartbeat.start()
        return stream

    def publish(self, recipient: Recipient, *events: Event) -> None:
        """Publish events to every open stream of `recipient`. Never blocks and never waits for a reader.

        Raises:
            InvalidArgument: something is not an `Event`.
            RuntimeError: it has a backplane, but has not been started on an event loop.
        """
        self._publish(key_of(recipient), events)

    def broadcast(self, *events: Event, tenant: str | EllipsisType | None = ...) -> None:
        """Publish events to every open stream, in every process. Raises as `publish` does.

        Args:
            events: the events.
            tenant: publish only to recipients of this tenant; None means those without a tenant. By default to all.
        """
        self._publish(EVERYONE if isinstance(tenant, EllipsisType) else tenant_address(tenant), events)

    def publish_many(self, events: Iterable[tuple[Recipient, Callable[[], Event]]]) -> None:
        """Publish one event to each of many recipients, a hundred per tick so that the event loop is not blocked.

        The hub iterates and calls the functions on its event loop, and logs their errors; without a backplane it makes
        no event for a recipient without a stream. Later calls of `publish` are delivered later.

        Raises:
            RuntimeError: it has a backplane, but has not been started on an event loop.
        """
        self._call(self._begin_batch, iter(events))

    def end(self, recipient: Recipient) -> None:
        """End every open stream of `recipient` in every process: after a logout, an erasure or a revoked permission.

        Events published before are still written, but it does not wait for those that a `publish_many` in progress has
        not published yet. Browsers reconnect, and are authorised again. A process that is disconnected from the
        backplane at that time keeps the recipient's streams until their lifetime ends.
        """
        self._call(self._end_everywhere, key_of(recipient))

    async def flush(self) -> None:
        """Return once all published events have been passed to the streams' readers and to the backplane.

        While the backplane is failing this does not return: use a timeout.
        """
        while self._batches:
            self._publish_slice()
            await asyncio.sleep(0)
        self._delivery.flush()
        if self._relay is not None:
            await self._relay.drain()

    def is_online(self, recipient: Recipient) -> bool:
        """Whether this recipient has an open stream on this hub."""
        return self._streams.count(key_of(recipient)) > 0

    def online(self) -> list[Recipient]:
        """The recipients that have an open stream on this hub."""
        return [stream.recipient for stream in self._streams.one_each()]

    def stats(self) -> HubStats:
        """The hub's state and counters."""
        relay = self._relay
        return HubStats(
            streams=len(self._streams),
            recipients=self._streams.recipients,
            published=self._published,
            delivered=self._delivery.delivered,
            ended=dict(self._ended),
            backplane="none" if relay is None else "failing" if relay.failing else "ok",
            publish_failures=0 if relay is None else relay.failures,
            rejected=0 if relay is None else relay.rejected,
            gaps=self._catch_up.gaps,
        )

    def close(self) -> None:
        """End every stream at once, and every later one as it begins, so that a server can shut down. Idempotent."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            # Never call it directly: a signal handler interrupts other code between any two instructions.
            self._loop.call_soon_threadsafe(self._end_all)

    async def aclose(self) -> None:
        """Close, wait up to two seconds until published events have been sent to other processes, and close the
        backplane."""
        self._closed = True
        self._end_all()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), CLOSE_TIMEOUT)
        self._catch_up.stop()
        relay, self._relay = self._relay, None
        if relay is not None:
            await relay.close()

    def _publish(self, address: str, events: tuple[Event, ...]) -> None:
        for event in events:
            if not isinstance(event, Event):
                raise InvalidArgument("event", f'expected an Event, such as Event("maintenance"); got {event!r}')
            if self._backplane is not None and self._secret is None and event.name not in STORED:
                self._warn_not_carried(event)
        self._published += len(events)
        self._call(self._enqueue, address, events)

    def _warn_not_carried(self, event: Event) -> None:
        self._not_carried.log(
            _log.warning,
            "the event %r reaches streams of this process only: those of other processes refetch instead, and it is "
            "stored nowhere. Give all hubs the same SseHub(secret=...)",
            event.name,
        )

    def _enqueue(self, address: str, events: tuple[Event, ...]) -> None:
        """Encode the events, once for all streams and processes."""
        if not events or (self._relay is None and not self._streams.has(address)):
            return
        frames = b"".join([event.encode() for event in events])
        if self._batches:  # those were published before
            self._batches.append(iter([partial(self._send, address, frames)]))
        else:
            self._send(address, frames)

    def _send(self, address: str, frames: bytes) -> None:
        self._delivery.add(address, frames)
        if self._relay is not None:
            self._relay.send(Kind.EVENTS, address, frames)

    def _begin_batch(self, events: Iterator[tuple[Recipient, Callable[[], Event]]]) -> None:
        self._batches.append(partial(self._make, recipient, make) for recipient, make in events)
        if len(self._batches) == 1:
            self._publish_batches()

    def _publish_batches(self) -> None:
        self._publish_slice()
        if self._batches:
            asyncio.get_running_loop().call_soon(self._publish_batches)

    def _publish_slice(self) -> None:
        """Publish the next hundred events of `publish_many`."""
        left = SLICE
        while left and self._batches:
            try:
                for publish in islice(self._batches[0], left):
                    left -= 1
                    publish()
                is_exhausted = left > 0
            except Exception:
                _log.exception("the iterable given to publish_many failed; the events before are published")
                is_exhausted = True
            if is_exhausted:
                self._batches.popleft()

    def _make(self, recipient: Recipient, make: Callable[[], Event]) -> None:
        self._published += 1
        try:
            address = key_of(recipient)
            if self._relay is not None or self._streams.has(address):
                self._send(address, make().encode())
        except Exception:
            _log.exception("an event of publish_many could not be made; the others are published")

    def _end_everywhere(self, address: str) -> None:
        self._end_streams(address)
        if self._relay is not None:
            self._relay.send(Kind.END, address)

    def _received(self, message: Message) -> None:
        """Handle a message of another process."""
        match message.kind:
            case Kind.END:
                self._end_streams(message.address)
            case Kind.REFETCH:
                self._catch_up.start(self._delivery, message.address)
            case _:
                self._delivery.add(message.address, message.frames)

    def _missed(self) -> None:
        self._catch_up.after_gap(self._delivery)

    def _end_streams(self, address: str) -> None:
        self._delivery.flush()
        for stream in self._streams.at(address):
            stream.end("revoked")

    def _end_all(self) -> None:
        self._delivery.flush()
        for stream in self._streams.at(EVERYONE):
            stream.end("closed")
        self._heartbeat.stop()

    async def _subscribed(self, key: str) -> None:
        """Return once other processes' messages for this key are received."""
        if self._relay is not None:
            await self._relay.join(key)

    def _remove(self, key: str, stream: Subscription) -> None:
        last = self._streams.remove(key, stream)
        if last and self._relay is not None:
            self._relay.leave(key)
        self._ended[stream.ended or "left"] += 1

    def _call(self, action: Callable[..., None], *arguments: object) -> None:
        """Run this on the hub's event loop: at once if called on it, else soon."""
        loop = self._loop
        if loop is None or loop.is_closed():
            if self._backplane is None:
                return  # there are no streams
            loop = self._join_loop()
        if self._is_running_here():
            action(*arguments)
        else:
            loop.call_soon_threadsafe(action, *arguments)

    def _is_running_here(self) -> bool:
        # Under gevent every greenlet runs in the event loop's thread. Only the thread identity, which gevent replaces,
        # shows that the caller is not the event loop, and that the loop must be woken.
        if threading.get_ident() != self._thread:
            return False
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _join_loop(self) -> asyncio.AbstractEventLoop:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "this SseHub has a backplane and needs an event loop: before the first call enter `async with hub:`, "
                "or, in code without an event loop, call `start()` on the SyncInbox or use it in a `with` block"
            ) from None
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("this SseHub belongs to another event loop, still open; make one hub for each loop")
            self._forget_loop()
            self._loop = loop
            self._thread = threading.get_ident()
            self._start_relay()
        return loop

    def _start_relay(self) -> None:
        if self._backplane is not None and self._relay is None:
            self._relay = Relay(self._backplane, self._secret, self._received, self._missed)

    def _forget_loop(self) -> None:
        """The event loop was closed: drop everything that was scheduled on it."""
        self._relay = None
        self._batches.clear()
        self._delivery.clear()
        self._heartbeat.stop()
        self._catch_up.stop()
        self._connect_counts = ConnectCounts()
        for stream in self._streams.at(EVERYONE):
            stream._abandon()
