"""Subscription: one open stream of one recipient."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from ..model import Recipient
from .writer import Writer

if TYPE_CHECKING:
    from .catch_up import CountsUnread
    from .hub import SseHub

__all__ = ["EndReason", "Subscription"]

EndReason: TypeAlias = Literal["left", "backlog", "lifetime", "closed", "revoked"]
"""Why a stream ended: its reader left; its backlog was full; it reached its lifetime; the hub was closed; `SseHub.end`
was called for its recipient."""


class Subscription:
    """One open stream of one recipient: an async context manager, and an async iterator of bytes to write.

    Each item contains all events since the previous one. Iteration stops when the stream has ended. Leaving the context
    ends it. Created by `SseHub.subscribe`; only one task at a time may read it.

    Attributes:
        recipient: the recipient.
        counter: counts the recipient's unread notifications; None for no counts.
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
        "_waiter",
        "_writer",
        "counter",
        "ended",
        "on_end",
        "recipient",
    )

    def __init__(
        self,
        hub: SseHub,
        recipient: Recipient,
        key: str,
        *,
        counter: CountsUnread | None,
        backlog: int,
        expires: float,
    ) -> None:
        self.recipient = recipient
        self.counter = counter
        self._hub = hub
        self._key = key
        self._limit = backlog
        self._expires = expires
        self._backlog: list[bytes] = []  # an empty deque would use 760 bytes per idle stream
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._writer: Writer | None = None
        self.ended: EndReason | None = None
        self.on_end: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._hub._subscribed(self._key)
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
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._take()

    async def unread_count(self) -> int:
        """The recipient's unread count. All calls in one tick of the event loop with the same counter share one query.

        The query runs in another task, outside of any transaction of the caller.

        Raises:
            StoreError: the store failed.
            RuntimeError: the stream has no `counter`.
        """
        if self.counter is None:
            raise RuntimeError("this stream has no counter: subscribe with counter=inbox")
        return await self._hub._connect_counts.count(self.counter, self.recipient)

    @property
    def direct_writes(self) -> bool:
        """Whether writers may write to the server's transport instead of calling `send`."""
        return self._hub.direct_writes

    def write_to(self, writer: Writer) -> None:
        """From now on pass events to `writer` instead of to an iteration over the stream, which costs more."""
        self._writer = writer
        self._write_backlog()

    def end(self, reason: EndReason) -> None:
        """End the stream. Its backlog is still written, unless the reason is a full backlog."""
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

    def _abandon(self) -> None:
        """End the stream of a closed event loop, whose reader cannot be woken."""
        self._waiter = self._writer = self.on_end = None
        self.end("closed")

    def _write_or_enqueue(self, data: bytes) -> bool:
        """Write at once if the writer is not busy, else enqueue. Called only from callbacks of the event loop."""
        if self._writer is None or self._writer.busy or self._backlog or self.ended:
            return self._enqueue(data)
        self._writer.write(data)
        return True

    def _enqueue(self, data: bytes) -> bool:
        """Append to the backlog. Returns False if the stream has ended, or ends now since the backlog would exceed its
        limit."""
        if self.ended:
            return False
        if self._size + len(data) > self._limit:
            self.end("backlog")
            return False
        if not self._backlog:
            self._wake()
        self._backlog.append(data)
        self._size += len(data)
        return True

    def _heartbeat(self, now: float, comment: bytes | None) -> None:
        if now >= self._expires:
            self.end("lifetime")
        elif comment is not None and not self._backlog:
            self._write_or_enqueue(comment)

    @property
    def _has_backlog(self) -> bool:
        """Whether bytes wait for the reader."""
        return bool(self._backlog)

    def _write_backlog(self) -> None:
        """Write the backlog, unless the writer is busy: it then calls this again."""
        if self._backlog and self._writer is not None and not self._writer.busy:
            self._writer.write(self._take())

    def _wake(self) -> None:
        """Wake the reader, which takes the backlog or sees the end in a later tick of the event loop."""
        if self._writer is not None:
            asyncio.get_running_loop().call_soon(self._write_backlog)
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self) -> bytes:
        waiting = b"".join(self._backlog) if len(self._backlog) > 1 else self._backlog[0]
        self._backlog.clear()
        self._size = 0
        return waiting
