"""`Event`: one event and its encoding in a `text/event-stream` (WHATWG HTML, 9.2.5), with LF line ends only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from .._validation import check_int
from ..errors import InvalidArgument
from ..model import JsonValue, Notification
from ..wire import encode_json, encode_time, to_item

__all__ = ["HEARTBEAT", "REFETCH", "Event", "decode"]

_LINE_BREAK: Final = re.compile("[\r\n\0]")

HEARTBEAT: Final = b":\n\n"
"""A comment, which clients ignore: it keeps proxies from closing an idle stream."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the stream.

    Attributes:
        name: the event type that clients listen for.
        data: any JSON value; None is an empty `data:` line, which clients take as "refetch".
        id: the browser sends it as Last-Event-ID when it reconnects; None keeps the previous one.
        retry: milliseconds for the browser to wait before it reconnects; None keeps the previous value.

    Raises:
        InvalidArgument: a line break or NUL in `name` or `id`, which could inject a field; a `retry` that is not a
            whole number.
    """

    name: str
    data: object = None
    id: str | None = None
    retry: int | None = None

    def __post_init__(self) -> None:
        for field, text in (("name", self.name), ("id", self.id)):
            if text is not None and _LINE_BREAK.search(text):
                raise InvalidArgument(f"event.{field}", f"expected no line break or NUL, got {text!r}")
        if self.retry is not None:
            check_int(self.retry, "event.retry", at_least=0, at_most=2**31 - 1)

    def encode(self) -> bytes:
        """The event as bytes of the stream, including the blank line at the end."""
        head = f"event: {self.name}\n"
        if self.id is not None:
            head += f"id: {self.id}\n"
        if self.retry is not None:
            head += f"retry: {self.retry}\n"
        data = b"" if self.data is None else b" " + encode_json(self.data)
        return head.encode() + b"data:" + data + b"\n\n"

    @classmethod
    def notification(cls, notification: Notification, *, live: Mapping[str, JsonValue] | None = None) -> Event:
        """A notification was inserted or replaced; `live`, if given, is sent instead of its data."""
        return cls("notification", to_item(notification, live=live))

    @classmethod
    def read(cls, id: str | None, at: datetime) -> Event:
        """One notification was marked read, or, with None, all of them were."""
        return cls("read", {"notificationId": id, "readAt": encode_time(at)})

    @classmethod
    def unread(cls, id: str) -> Event:
        """One notification was marked unread."""
        return cls("unread", {"notificationId": id})

    @classmethod
    def deleted(cls, id: str) -> Event:
        """One notification was deleted."""
        return cls("delete", {"notificationId": id})

    @classmethod
    def count(cls, unread: int, *, id: str | None = None, retry: int | None = None) -> Event:
        """The unread count from the store; the first event of every stream."""
        return cls("notification", {"count": unread}, id=id, retry=retry)


STORED: Final = frozenset({"notification", "read", "unread", "delete"})
"""The names of events whose changes are stored, so that a client that refetches misses nothing."""

REFETCH: Final = Event("notification")
"""The event without data, on which clients refetch their count and list."""


def decode(frames: bytes) -> Iterator[tuple[str, str]]:
    """Yields the name and JSON of each event that `Event.encode` has written, "" for no data; comments are skipped.

    For transports with their own framing, such as WebSockets. It parses only what this module writes, not any event
    stream.
    """
    for frame in frames.decode().split("\n\n"):
        fields = dict(line.split(":", 1) for line in frame.split("\n") if ":" in line)
        if "event" in fields:
            yield fields["event"].strip(), fields["data"].strip()
