"""A notification as text in Redis: one value per line, the times first with a fixed width, the data last.

The scripts read lines by position. `data` is JSON that only this file reads and writes, since Lua's cjson would change
large numbers and empty arrays. The other values contain no line breaks, since core refuses control characters.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from notistore.model import (
    Cursor,
    Notification,
    Recipient,
    from_millis,
    stored_actor,
    stored_notification,
    to_millis,
)
from notistore.sql.rows import decoded, encoded

UNREAD: Final = "-" * 13
_BIAS: Final = -to_millis(datetime.min.replace(tzinfo=UTC))  # so that times before 1970 sort as text too


def time_to_text(at: datetime) -> str:
    """Milliseconds since the year 1 as 13 hexadecimal digits, whose order as text is the order of the times."""
    return format(to_millis(at) + _BIAS, "013x")


def sort_key(cursor: Cursor) -> str:
    """The sort key of a row, with which the members of an inbox's sorted sets begin."""
    return time_to_text(cursor.created_at) + cursor.id


def to_text(row: Notification) -> str:
    created = time_to_text(row.created_at)
    return "\n".join(
        (
            created,
            created if row.updated_at is row.created_at else time_to_text(row.updated_at),
            UNREAD if row.read_at is None else time_to_text(row.read_at),
            row.type,
            str(row.version),
            row.key or "",
            row.actor.type if row.actor else "",
            row.actor.id if row.actor else "",
            row.trace_id or "",
            encoded(row.data),
        )
    )


def from_text(recipient: Recipient, id: str, text: str) -> Notification:
    created, updated, read, type, version, key, actor_type, actor_id, trace_id, data = text.split("\n", 9)
    created_at = _time(created)
    return stored_notification(
        id,
        recipient,
        type,
        decoded(data),
        key or None,
        stored_actor(actor_id, actor_type) if actor_id else None,
        trace_id or None,
        int(version),
        None if read == UNREAD else _time(read),
        created_at,
        created_at if updated == created else _time(updated),
    )


def as_stored(row: Notification, text: str, created: str, read: str, version: str, key: str) -> Notification:
    """`row` as it is now kept: it was sent as `text`, and these lines are the database's. Its data is a copy."""
    return stored_notification(
        row.id,
        row.recipient,
        row.type,
        decoded(text[text.rindex("\n") + 1 :]),
        key or None,
        row.actor,
        row.trace_id,
        int(version),
        None if read == UNREAD else _time(read),
        _time(created),
        row.updated_at,
    )


def _time(text: str) -> datetime:
    return from_millis(int(text, 16) - _BIAS)
