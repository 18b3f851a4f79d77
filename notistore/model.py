"""The data types of the contract: recipients, actors, notifications and cursors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self, TypeVar

from ._validation import MAX_DATA_BYTES, JsonValue, check_data, check_name, check_time
from .errors import InvalidArgument, InvalidNotification
from .ids import is_id, keyed_id, new_id

__all__ = [
    "Actor",
    "Cursor",
    "JsonValue",
    "Notification",
    "Recipient",
    "from_millis",
    "stored_actor",
    "stored_notification",
    "stored_recipient",
    "to_millis",
    "utc_now",
]

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def utc_now() -> datetime:
    """The current time in UTC, truncated to the millisecond, the precision that every database and JavaScript have."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def to_millis(value: datetime) -> int:
    """Whole milliseconds since 1970-01-01T00:00Z of an aware datetime, rounded down."""
    since = value - _EPOCH
    # `since // timedelta(milliseconds=1)` takes half as long again.
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def from_millis(value: int) -> datetime:
    """The UTC datetime of whole milliseconds since 1970-01-01T00:00Z; the inverse of `to_millis`."""
    return _EPOCH + value * _MILLISECOND


@dataclass(frozen=True, slots=True)
class Recipient:
    """The owner of an inbox. All three parts are its identity: the same user has a separate inbox in each tenant.

    Attributes:
        id: 1 to 128 characters.
        type: 1 to 64 characters; distinguishes a user from, for example, a team with the same id.
        tenant: 1 to 64 characters; or None, for no tenant, which is a separate inbox and not a wildcard.

    Raises:
        InvalidNotification: a part is empty, too long, or contains control characters, U+2028/2029 or lone surrogates.
    """

    id: str
    type: str = "user"
    tenant: str | None = None

    def __post_init__(self) -> None:
        # check_name returns a plain str: a member of a str Enum equals its value, but is formatted differently.
        object.__setattr__(self, "id", check_name(self.id, "recipient.id", at_most=128))
        object.__setattr__(self, "type", check_name(self.type, "recipient.type", at_most=64))
        if self.tenant is not None:
            object.__setattr__(self, "tenant", check_name(self.tenant, "recipient.tenant", at_most=64))


@dataclass(frozen=True, slots=True)
class Actor:
    """Who or what caused a notification. Both parts have 1 to 64 characters; else InvalidNotification is raised."""

    id: str
    type: str = "user"

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", check_name(self.id, "actor.id", at_most=64))
        object.__setattr__(self, "type", check_name(self.type, "actor.type", at_most=64))


class Cursor(NamedTuple):
    """A position in the order of an inbox: `page(before=cursor)` returns rows older than it (keyset pagination).

    Cursors are ordered as rows are: a greater one is newer. `str(cursor)` is the form for URLs and `Cursor.parse` reads
    it. A cursor stays valid when the row it came from has been deleted.
    """

    created_at: datetime
    id: str

    def __str__(self) -> str:
        return f"{to_millis(self.created_at)}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor from its `str(cursor)`; any other text raises InvalidArgument (field "before")."""
        millis, dot, id = text.partition(".")
        try:
            if not dot or not millis.removeprefix("-").isdecimal() or not millis.isascii() or not is_id(id):
                raise ValueError
            return cls(from_millis(int(millis)), id)
        except (ValueError, OverflowError):
            shown = text if len(text) <= 60 else text[:57] + "..."
            raise InvalidArgument("before", f"expected a cursor from an earlier page, got {shown!r}") from None


@dataclass(frozen=True, slots=True)
class Notification:
    """One row of an inbox: made by `Notification.new`, or returned by a store. Instances are immutable.

    Attributes:
        id: lower-case UUID of 36 characters; `keyed_id(recipient, key)` if it has a key (and the store can upsert).
        recipient: the owner of the inbox.
        type: the kind of notification ("invoice.paid"), 1 to 64 characters; `types=` filters by it.
        data: a JSON object.
        key: the application's name for a notification that is replaced in place, unique per recipient; or None.
        actor: who or what caused it, or None.
        trace_id: the id of a trace of the application, 1 to 128 characters; or None.
        version: 1 on insert, incremented by every upsert; of two versions the higher is the newer.
        read_at: when it was first marked read since it last became unread; None while unread.
        created_at: when the row was inserted; (created_at, id) is the order of the inbox.
        updated_at: when its content was last changed; marking it read or unread does not change it.

    All times are aware, UTC, whole milliseconds.
    """

    id: str
    recipient: Recipient
    type: str
    data: Mapping[str, JsonValue] = field(hash=False)
    key: str | None
    actor: Actor | None
    trace_id: str | None
    version: int
    read_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def new(
        cls,
        recipient: Recipient,
        type: str,
        data: Mapping[str, object] | None = None,
        *,
        key: str | None = None,
        actor: Actor | None = None,
        trace_id: str | None = None,
        at: datetime | None = None,
        max_data_bytes: int = MAX_DATA_BYTES,
    ) -> Self:
        """Make a notification to store: validates every value, copies `data`, sets the id and both times.

        Args:
            recipient: the owner of the inbox.
            type: 1 to 64 characters.
            data: a JSON object; None means an empty one. At most 30 levels and `max_data_bytes` bytes of UTF-8 JSON.
            key: 1 to 255 characters, or None.
            actor: who or what caused it, or None.
            trace_id: 1 to 128 characters, or None.
            at: an aware datetime, by default now; truncated to the millisecond.

        Raises:
            InvalidNotification: names the field, the value given and what was expected.
        """
        if not isinstance(recipient, Recipient):
            raise InvalidNotification("recipient", f"expected a Recipient, got {recipient!r}")
        if actor is not None and not isinstance(actor, Actor):
            raise InvalidNotification("actor", f"expected an Actor or None, got {actor!r}")
        if key is not None:
            key = check_name(key, "key", at_most=255)
        if trace_id is not None:
            trace_id = check_name(trace_id, "trace_id", at_most=128)
        now = utc_now() if at is None else check_time(at, "at", error=InvalidNotification)
        return cls(
            id=new_id() if key is None else keyed_id(recipient, key),
            recipient=recipient,
            type=check_name(type, "type", at_most=64),
            data={} if data is None else check_data(data, max_bytes=max_data_bytes),
            key=key,
            actor=actor,
            trace_id=trace_id,
            version=1,
            read_at=None,
            created_at=now,
            updated_at=now,
        )

    @property
    def cursor(self) -> Cursor:
        """Its position in the inbox; pass the last row's as `before` to get the next, older page."""
        return Cursor(self.created_at, self.id)


def _unchecked(made: type[T]) -> Callable[..., T]:
    """A faster constructor without validation, for rows that a store has read. It takes the attributes in order.

    The constructor of a frozen dataclass calls `object.__setattr__` for each attribute. This one makes an instance of
    an equal class that is not frozen, then sets its `__class__`.
    """
    twin: Any = make_dataclass(made.__name__, [each.name for each in fields(made)], slots=True)  # type: ignore[arg-type]

    def construct(*values: object) -> T:
        instance = twin(*values)
        instance.__class__ = made
        stored: T = instance
        return stored

    return construct


stored_recipient: Final = _unchecked(Recipient)
stored_actor: Final = _unchecked(Actor)
stored_notification: Final = _unchecked(Notification)
