"""Relay: publishes and subscribes on the hub's backplane, in background tasks.

The hub never waits for it. One task publishes messages in batches. A second task subscribes and unsubscribes channels
in batches as streams open and close, so that calls do not overlap, many connects at once are a few commands, and the
work does not grow with the number of open streams.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from itertools import islice
from typing import Final

from .._log_throttle import LogThrottle
from .backplane import Backplane, backoff, cancel
from .message import NODE_BYTES, Kind, Message
from .streams import EVERYONE

_log = logging.getLogger("notistore.hub")

_CALL_TIMEOUT: Final = 5.0  # seconds for one call of the backplane
_SUBSCRIBE_BATCH: Final = 1_000  # channels in one call of the backplane
_PUBLISH_BATCH: Final = 1_000  # messages in one call of the backplane
_MAX_MESSAGE_BYTES: Final = 128 * 1024  # one recipient's events are joined up to this size
_MAX_OUTBOX_BYTES: Final = 64 * 1024 * 1024  # the maximum that waits to be published; more counts as failed
_MAX_UNPUBLISHED: Final = 10_000  # addresses remembered after a failure; with more, all streams refetch


class Relay:
    """All methods must be called on the hub's event loop.

    Args:
        backplane: carries the messages.
        secret: the key for signing messages. Without one, or if a message is signed with another, its events are not
            delivered: the streams refetch instead.
        receive: called with each message of another process.
        missed: called when messages of other processes may have been lost.

    Attributes:
        failing: publishing fails at present.
        failures: failed calls of the backplane's `publish`.
        rejected: received messages that no hub has sent, or one with another secret.
    """

    def __init__(
        self,
        backplane: Backplane,
        secret: bytes | None,
        receive: Callable[[Message], None],
        missed: Callable[[], None],
    ) -> None:
        self._backplane = backplane
        self._secret = secret
        self._receive = receive
        self._missed = missed
        self._believed = {Kind.REFETCH} if secret else {Kind.REFETCH, Kind.END, Kind.MISSED}  # without a signature
        self._node = secrets.token_bytes(NODE_BYTES)
        self._outbox = _Outbox()
        self._unpublished: dict[str, Kind] = {}
        self._to_publish = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._subscribed: set[str] = set()
        self._to_subscribe = {EVERYONE: asyncio.get_running_loop().create_future()}
        self._to_unsubscribe: set[str] = set()
        self._subscriptions_changed = asyncio.Event()
        self._subscriptions_changed.set()
        self._subscribing = True
        self._opened = asyncio.Event()
        self._rejecting = LogThrottle()
        self.failing = False
        self.failures = 0
        self.rejected = 0
        self._tasks = [asyncio.create_task(self._keep_publishing()), asyncio.create_task(self._keep_subscribed())]

    def send(self, kind: Kind, address: str, frames: bytes = b"") -> None:
        """Queue a message to the other processes."""
        if kind is Kind.EVENTS and self._secret is None:
            kind, frames = Kind.REFETCH, b""
        self._idle.clear()
        if self.failing or self._outbox.bytes + len(frames) > _MAX_OUTBOX_BYTES:
            self._remember(kind, address)
        else:
            self._outbox.add(kind, address, frames)
        self._to_publish.set()

    async def join(self, channel: str) -> None:
        """Return once this channel is subscribed to, or after a timeout: its streams then refetch once it is."""
        self._to_unsubscribe.discard(channel)
        if channel in self._subscribed:
            return
        joined = self._to_subscribe.get(channel)
        if joined is None:
            joined = self._to_subscribe[channel] = asyncio.get_running_loop().create_future()
            self._subscriptions_changed.set()
        done, _ = await asyncio.wait([joined], timeout=_CALL_TIMEOUT)
        if not done:
            refetch = Message(self._node, Kind.REFETCH, channel)
            joined.add_done_callback(lambda _: self._receive(refetch))

    def leave(self, channel: str) -> None:
        """Unsubscribe from this channel."""
        if joined := self._to_subscribe.pop(channel, None):
            joined.set_result(None)  # its streams have ended
        self._to_unsubscribe.add(channel)
        self._subscriptions_changed.set()

    async def drain(self) -> None:
        """Return once all queued messages have been published."""
        await self._idle.wait()

    async def close(self) -> None:
        """End the tasks and close the backplane; messages not published by then are lost."""
        await cancel(*self._tasks)
        try:
            await asyncio.wait_for(self._backplane.close(), _CALL_TIMEOUT)
        except Exception:
            _log.exception("the backplane could not be closed")

    def _take(self, channel: str, data: bytes) -> None:
        if data.startswith(self._node):
            return  # this process's own message
        try:
            message = Message.decode(channel, data, self._secret)
        except ValueError as error:
            self._reject(f"was dropped, since no hub has sent it: {error}")
            return
        if not (message.is_signed or message.kind in self._believed):
            self._reject("was treated as a request to refetch, since it is not signed with this hub's secret")
            message = Message(message.node, Kind.REFETCH, message.address)
        if message.kind is Kind.MISSED:
            self._missed()
        else:
            self._receive(message)

    def _reject(self, why: str) -> None:
        self.rejected += 1
        self._rejecting.log(
            _log.warning,
            "a message of the backplane %s; does something else publish under this backplane's prefix, or a process "
            "with another version or secret?",
            why,
        )

    def _remember(self, kind: Kind, address: str) -> None:
        """A message could not be published: its streams refetch, or end, once publishing works again. With too many,
        all do."""
        if self._unpublished.get(address) is not Kind.END:
            self._unpublished[address] = Kind.REFETCH if kind is Kind.EVENTS else kind
        if len(self._unpublished) > _MAX_UNPUBLISHED:
            worst = Kind.END if Kind.END in self._unpublished.values() else Kind.MISSED
            self._unpublished = {EVERYONE: worst}

    async def _keep_publishing(self) -> None:
        await self._opened.wait()
        attempt, failing_since = 0, 0.0
        while not _cancelled():
            await self._to_publish.wait()
            self._to_publish.clear()
            owed, self._unpublished = self._unpublished, {}
            messages = [Message(self._node, kind, address) for address, kind in owed.items()]
            messages += [Message(self._node, *waiting) for waiting in self._outbox.take()]
            published = 0
            try:
                while batch := messages[published : published + _PUBLISH_BATCH]:
                    async with asyncio.timeout(_CALL_TIMEOUT):
                        await self._backplane.publish(
                            [(message.channel, message.encode(self._secret)) for message in batch]
                        )
                    published += len(batch)
            except Exception as error:
                self.failures += 1
                if not self.failing:
                    self.failing = True
                    failing_since = time.monotonic()
                    _log.warning(
                        "the backplane cannot publish (%s): streams of other processes get no events of this one "
                        "until it can, and then refetch; check the backplane's server",
                        _describe(error),
                    )
                for message in messages[published:]:
                    self._remember(message.kind, message.address)
                self._to_publish.set()
                await backoff(attempt)
                attempt += 1
                continue
            if self.failing:
                self.failing, attempt = False, 0
                recipients = "everyone" if EVERYONE in owed else f"{len(owed)} recipients"
                seconds = time.monotonic() - failing_since
                _log.warning("the backplane publishes again after %.1f s; %s refetch", seconds, recipients)
            if not self._to_publish.is_set():
                self._idle.set()

    async def _keep_subscribed(self) -> None:
        await self._open()
        while not _cancelled():
            await self._subscriptions_changed.wait()
            self._subscriptions_changed.clear()
            while self._to_subscribe:
                await self._subscribe(list(islice(self._to_subscribe, _SUBSCRIBE_BATCH)))
            if self._to_unsubscribe:
                await self._unsubscribe(list(islice(self._to_unsubscribe, _SUBSCRIBE_BATCH)))
                if self._to_unsubscribe:
                    self._subscriptions_changed.set()

    async def _subscribe(self, channels: list[str]) -> None:
        await self._attempt(self._backplane.subscribe, channels)
        self._subscribed.update(channels)  # if it failed, the backplane does it on reconnect, then calls `missed`
        for channel in channels:
            if joined := self._to_subscribe.pop(channel, None):
                joined.set_result(None)

    async def _unsubscribe(self, channels: list[str]) -> None:
        # Update both before the call: a stream that begins meanwhile must subscribe again.
        self._to_unsubscribe.difference_update(channels)
        dropped = [channel for channel in channels if channel in self._subscribed]
        self._subscribed.difference_update(dropped)
        if dropped:
            await self._attempt(self._backplane.unsubscribe, dropped)

    async def _open(self) -> None:
        attempt = 0
        while not self._opened.is_set() and not _cancelled():
            try:
                await self._backplane.open(self._take, self._missed)
                self._opened.set()
            except Exception as error:
                level = logging.DEBUG if attempt else logging.WARNING  # an outage is logged once
                _log.log(
                    level,
                    "the backplane could not be opened (%s): streams get only events of this process; retrying",
                    _describe(error),
                    exc_info=True,
                )
                await backoff(attempt)
                attempt += 1

    async def _attempt(self, call: Callable[[Collection[str]], Awaitable[None]], channels: Collection[str]) -> None:
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                await call(channels)
            self._subscribing = True
        except Exception as error:
            level = logging.WARNING if self._subscribing else logging.DEBUG  # an outage is logged once
            self._subscribing = False
            _log.log(
                level,
                "the backplane could not %s %d keys (%s); it will when it has reconnected",
                call.__name__,
                len(channels),
                _describe(error),
            )


_JOINED: Final = (Kind.EVENTS, Kind.REFETCH)  # a relay sends either EVENTS or REFETCH


class _Outbox:
    """The messages that wait to be published, in order; the events of one address are joined.

    Attributes:
        bytes: their total size.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Kind, str, bytearray]] = []
        self._last: dict[str, bytearray] = {}  # the message to which the next events of an address can be joined
        self.bytes = 0

    def add(self, kind: Kind, address: str, frames: bytes) -> None:
        self.bytes += len(frames)
        last = self._last.get(address)
        if kind in _JOINED and last is not None and len(last) + len(frames) <= _MAX_MESSAGE_BYTES:
            last += frames
            return
        joined = bytearray(frames)
        self._waiting.append((kind, address, joined))
        if kind in _JOINED:
            self._last[address] = joined
        else:
            self._last.pop(address, None)

    def take(self) -> list[tuple[Kind, str, bytes]]:
        """Remove and return all messages."""
        waiting = [(kind, address, bytes(frames)) for kind, address, frames in self._waiting]
        self._waiting, self._last, self.bytes = [], {}, 0
        return waiting


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _cancelled() -> bool:
    """Whether this task was cancelled and a backplane swallowed the cancellation, as `asyncio.wait_for` may before
    Python 3.12."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
