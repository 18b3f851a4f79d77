"""Inbox: the object that applications use. It validates and stores notifications, then publishes their events."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final, Protocol, TypeVar, runtime_checkable

from ._validation import MAX_DATA_BYTES, MAX_OFFSET, check_data, check_int, check_name, check_time, check_types
from .errors import InvalidArgument, InvalidNotification, Unsupported
from .hub import SseHub
from .hub.events import REFETCH, Event
from .ids import is_id, keyed_id, new_id
from .model import Actor, Cursor, JsonValue, Notification, Recipient, utc_now
from .store import NotificationStore, supports

__all__ = ["Inbox", "Message"]

_log = logging.getLogger("notistore")

T = TypeVar("T")

_SLICE: Final = 250  # recipients that send_many handles before it lets other tasks run
_MAX_IDS: Final = 10_000
_MAX_FRAMES: Final = 20  # a change of more rows than this is published as one empty event


@runtime_checkable
class Message(Protocol):
    """Any object with `type` and `data`. Its attributes `key`, `live` and `tenant` are optional."""

    @property
    def type(self) -> str: ...
    @property
    def data(self) -> Mapping[str, object]: ...


@dataclass(slots=True)
class _Shared:
    """The state that an inbox shares with the inboxes that its `bind` returned."""

    publish_failures: int = 0
    warned: bool = False


class Inbox:
    """Sends notifications; pages, counts, marks and deletes them; publishes each change to the recipient's streams.

    Every method takes a recipient, and reads and changes only that recipient's rows. An unknown id, a malformed one and
    another recipient's are treated alike: the result is None, or the id is not counted. Methods that take ids also take
    the `key` that was given to `send`.

    Every method may raise `InvalidArgument`, before the store is called, and `StoreError` or one of its subclasses.
    A failure to publish never fails a call: it is logged and counted in `publish_failures`.

    Args:
        store: stores the notifications.
        hub: delivers events to the recipients' open streams; with None nothing is published.
        max_data_bytes: the maximum size of one notification's data, in bytes of UTF-8 JSON.
        max_limit: the maximum number of rows that `page` returns.
        clock: returns the current time as an aware datetime.

    Attributes:
        blocking: True if the store is a sync one, as in a `SyncInbox`: calls never suspend, and block their thread.
    """

    def __init__(
        self,
        store: NotificationStore,
        hub: SseHub | None = None,
        *,
        max_data_bytes: int = MAX_DATA_BYTES,
        max_limit: int = 100,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.store = store
        self.hub = hub
        self.max_limit = max_limit
        self._max_data_bytes = max_data_bytes
        self._clock = clock
        self._shared = _Shared()
        self._after_commit: Callable[[Callable[[], None]], None] | None = None
        self.blocking = bool(getattr(store, "blocking", False))

    @property
    def publish_failures(self) -> int:
        """How often publishing an event has failed, in this inbox and in those bound from it."""
        return self._shared.publish_failures

    async def send(
        self,
        recipient: Recipient,
        type: str | Message,
        data: Mapping[str, object] | None = None,
        *,
        key: str | None = None,
        actor: Actor | None = None,
        trace_id: str | None = None,
        renotify: bool = True,
        live: Mapping[str, object] | None = None,
        publish: bool = True,
    ) -> Notification:
        """Store a notification, then publish it to the recipient's open streams. Returns it as stored.

        Args:
            recipient: the owner of the inbox.
            type: the kind of notification ("invoice.paid"), or a `Message`, which has its own type and data. A
                message's tenant becomes the recipient's if that has none; if the two differ, the message is refused.
            data: a JSON object; None means an empty one.
            key: identifies a notification of this inbox that is replaced in place: the next send with the same key
                replaces its content, increments its version and makes it unread again.
            actor: who or what caused it.
            trace_id: the id of the application's current trace.
            renotify: with False, a notification that is replaced and was read stays read (for progress updates).
            live: a smaller payload to publish instead of `data`; `data` is what is stored.
            publish: with False, the notification is stored and not published.

        Raises:
            InvalidNotification: names the field that was refused; nothing was written.
        """
        row, live = self._draft(recipient, type, data, key, actor, trace_id, live)
        stored = await self._store_row(row, renotify)
        if publish:
            self._publish_notification(stored, live)
        return stored

    async def send_many(
        self,
        recipients: Iterable[Recipient],
        type: str | Message,
        data: Mapping[str, object] | None = None,
        *,
        key: str | None = None,
        actor: Actor | None = None,
        trace_id: str | None = None,
        renotify: bool = True,
        live: Mapping[str, object] | None = None,
        publish: bool = True,
    ) -> list[Notification]:
        """Send the same notification to many recipients, once to each. Arguments as for `send`.

        Returns the notifications as stored, in the order of the recipients. Without a key, and if the store supports
        `insert_many`, either all are stored or none. Otherwise they are sent one by one, and after an error those
        before it remain sent.
        """
        tenant = None if isinstance(type, str) else getattr(type, "tenant", None)
        to = {_in_tenant(recipient, tenant): None async for recipient in self._in_slices(recipients)}
        if not to:
            return []
        first, live = self._draft(next(iter(to)), type, data, key, actor, trace_id, live)
        rows = [first]
        async for recipient in self._in_slices(islice(to, 1, None)):
            id = new_id() if first.key is None else keyed_id(recipient, first.key)
            rows.append(replace(first, recipient=recipient, id=id))
        if first.key is None and supports(self.store, "insert_many"):
            await self.store.insert_many(rows)
            if publish:
                self._publish_notifications(rows, live)
            return rows
        sent = []
        async for row in self._in_slices(rows):
            stored = await self._store_row(row, renotify)
            if publish:
                self._publish_notification(stored, live)
            sent.append(stored)
        return sent

    async def send_live(
        self, recipient: Recipient, type: str | Message, data: Mapping[str, object] | None = None
    ) -> None:
        """Publish a notification to the recipient's open streams without storing it. Its version is 0."""
        row, live = self._draft(recipient, type, data, None, None, None, None)
        self._publish_notification(replace(row, id=new_id(), key=None, version=0), live)

    async def publish(self, notification: Notification, *, live: Mapping[str, object] | None = None) -> None:
        """Publish a stored notification to the recipient's open streams, after a `send` with `publish=False`."""
        self._publish_notification(notification, self._check_live(live))

    async def get(self, recipient: Recipient, id: str | None = None, *, key: str | None = None) -> Notification | None:
        """The notification with this id or key; None if it is not in this recipient's inbox."""
        if (id is None) == (key is None):
            raise InvalidArgument("id", "expected either an id or a key=")
        [*wanted] = _resolve_ids(recipient, () if id is None else (id,), key)
        return await self.store.get(recipient, wanted[0]) if wanted else None

    async def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Iterable[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Sequence[Notification]:
        """Part of the inbox, newest first by (created_at, id).

        Args:
            recipient: the owner of the inbox.
            unread_only: return unread notifications only.
            types: return notifications of these types only; None or empty is no filter.
            before: return rows older than this cursor, usually the `cursor` of the previous page's last row. Unlike
                with offsets, no row is skipped or repeated when others are added or read between two pages.
            offset: how many rows to skip, from 0.
            limit: the maximum number of rows, from 0 to `max_limit`; by default 50, or `max_limit` if that is less.
        """
        _check_recipient(recipient)
        limit = min(50, self.max_limit) if limit is None else limit
        return await self.store.page(
            recipient,
            unread_only=bool(unread_only),
            types=check_types(types),
            before=None if before is None else _check_cursor(before),
            offset=check_int(offset, "offset", at_least=0, at_most=MAX_OFFSET),
            limit=check_int(limit, "limit", at_least=0, at_most=self.max_limit),
        )

    async def count(self, recipient: Recipient, *, types: Iterable[str] | None = None) -> int:
        """How many notifications the inbox contains."""
        _check_recipient(recipient)
        return await self.store.count(recipient, types=check_types(types))

    async def unread_count(
        self, recipient: Recipient, *, types: Iterable[str] | None = None, at_most: int | None = None
    ) -> int:
        """How many notifications are unread, for a badge. With `at_most` (from 1), counting stops at that number."""
        _check_recipient(recipient)
        if at_most is not None:
            at_most = check_int(at_most, "at_most", at_least=1, at_most=MAX_OFFSET)
        return await self.store.unread_count(recipient, types=check_types(types), at_most=at_most)

    async def unread_counts(
        self, recipients: Iterable[Recipient], *, types: Iterable[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        """The unread count of each of these recipients, in one query if the store supports it."""
        to = list(dict.fromkeys(recipients))
        if not supports(self.store, "unread_counts"):
            names = check_types(types)
            return {recipient: await self.unread_count(recipient, types=names, at_most=at_most) for recipient in to}
        for recipient in to:
            _check_recipient(recipient)
        if at_most is not None:
            at_most = check_int(at_most, "at_most", at_least=1, at_most=MAX_OFFSET)
        return await self.store.unread_counts(to, types=check_types(types), at_most=at_most)

    async def mark_read(self, recipient: Recipient, *ids: str, key: str | None = None) -> int:
        """Mark notifications read, by id or by key. Returns how many were unread before; the others keep their
        read_at."""
        wanted = _resolve_ids(recipient, ids, key)
        at = self._now()
        marked = await self.store.mark_read(recipient, *wanted, at=at) if wanted else 0
        if marked:
            self._publish_change(recipient, [partial(Event.read, id, at) for id in wanted])
        return marked

    async def mark_unread(self, recipient: Recipient, *ids: str, key: str | None = None) -> int:
        """Mark notifications unread again, by id or by key. Returns how many were read before."""
        wanted = _resolve_ids(recipient, ids, key)
        marked = await self.store.mark_unread(recipient, *wanted) if wanted else 0
        if marked:
            self._publish_change(recipient, [partial(Event.unread, id) for id in wanted])
        return marked

    async def mark_all_read(
        self, recipient: Recipient, *, types: Iterable[str] | None = None, seen: datetime | None = None
    ) -> int:
        """Mark all unread notifications read, or those of some types. Returns how many were marked.

        With `seen`, the newest updated_at that the user was shown, notifications changed after it stay unread.
        """
        _check_recipient(recipient)
        wanted = check_types(types)
        until = None if seen is None else check_time(seen, "seen")
        at = self._now()
        marked = await self.store.mark_all_read(recipient, types=wanted, seen=until, at=at)
        if marked:
            everything = wanted is None and until is None
            self._publish_change(recipient, [partial(Event.read, None, at)] if everything else [])
        return marked

    async def delete(self, recipient: Recipient, *ids: str, key: str | None = None) -> int:
        """Delete notifications, by id or by key. Returns how many were deleted."""
        wanted = _resolve_ids(recipient, ids, key)
        deleted = await self.store.delete(recipient, *wanted) if wanted else 0
        if deleted:
            self._publish_change(recipient, [partial(Event.deleted, id) for id in wanted])
        return deleted

    def bind(self, session: object) -> Inbox:
        """An inbox inside the application's own transaction: its writes are committed or rolled back with it.

        Events are published once the outermost transaction has committed. If the ORM has no hook for that, nothing is
        published; call `await inbox.publish(notification)` after the commit.

        Raises:
            Unsupported: the store cannot join a transaction.
        """
        if not supports(self.store, "bind"):
            raise Unsupported(f"{_name(self.store)} cannot join a transaction of the application: it has no bind()")
        store = self.store.bind(session)
        bound = copy.copy(self)
        bound.store = store
        bound._after_commit = store.after_commit
        return bound

    def _draft(
        self,
        recipient: Recipient,
        type: str | Message,
        data: Mapping[str, object] | None,
        key: str | None,
        actor: Actor | None,
        trace_id: str | None,
        live: Mapping[str, object] | None,
    ) -> tuple[Notification, Mapping[str, JsonValue] | None]:
        """The row for one send, and its validated `live` payload. Nothing is written."""
        tenant: str | None = None
        if not isinstance(type, str):
            if not isinstance(type, Message):
                raise InvalidNotification("type", f"expected a string, or an object with type and data, got {type!r}")
            if data is not None:
                raise InvalidNotification("data", "expected none beside a message, which brings its own")
            message = type
            type, data = message.type, message.data
            tenant = getattr(message, "tenant", None)
            key = getattr(message, "key", None) if key is None else key
            live = getattr(message, "live", None) if live is None else live
        payload = self._check_live(live)
        row = Notification.new(
            _in_tenant(recipient, tenant),
            type,
            data,
            key=key,
            actor=actor,
            trace_id=trace_id,
            at=self._now(),
            max_data_bytes=self._max_data_bytes,
        )
        return row, payload

    async def _in_slices(self, items: Iterable[T]) -> AsyncIterator[T]:
        """The items, with a pause after every few hundred in which the event loop runs other tasks."""
        for n, item in enumerate(items, 1):
            yield item
            if n % _SLICE == 0 and not self.blocking:
                await asyncio.sleep(0)

    def _check_live(self, live: Mapping[str, object] | None) -> Mapping[str, JsonValue] | None:
        return None if live is None else check_data(live, "live", max_bytes=self._max_data_bytes)

    async def _store_row(self, row: Notification, renotify: bool) -> Notification:
        if row.key is not None:
            try:
                return await self.store.upsert(row, renotify=renotify)
            except Unsupported:
                row = replace(row, id=new_id())
                if not self._shared.warned:
                    self._shared.warned = True
                    _log.warning(
                        "%s cannot replace a notification in place: each send with a key adds a row of its own",
                        _name(self.store),
                    )
        await self.store.insert(row)
        return row

    def _publish_notification(self, notification: Notification, live: Mapping[str, JsonValue] | None) -> None:
        if self.hub is not None:
            self._publish(notification.recipient, Event.notification(notification, live=live))

    def _publish_notifications(self, rows: Sequence[Notification], live: Mapping[str, JsonValue] | None) -> None:
        if self.hub is not None:
            events = ((row.recipient, partial(Event.notification, row, live=live)) for row in rows)
            self._after(partial(self.hub.publish_many, events))

    def _publish_change(self, recipient: Recipient, events: Sequence[Callable[[], Event]]) -> None:
        frames = [make() for make in events] if len(events) <= _MAX_FRAMES else []
        self._publish(recipient, *frames, REFETCH)

    def _publish(self, recipient: Recipient, *events: Event) -> None:
        if self.hub is not None:
            self._after(partial(self.hub.publish, recipient, *events))

    def _after(self, publish: Callable[[], None]) -> None:
        """Publish now, or after the commit of the transaction that this inbox is bound to."""
        safely = partial(self._publish_safely, publish)
        if self._after_commit is None:
            safely()
            return
        try:
            self._after_commit(safely)
        except Unsupported:
            _log.debug("the store has no hook after the commit: call inbox.publish() after it")
        except Exception:
            self._publish_failed()

    def _publish_safely(self, publish: Callable[[], None]) -> None:
        # An exception after a commit would otherwise be raised in the application's code.
        try:
            publish()
        except Exception:
            self._publish_failed()

    def _publish_failed(self) -> None:
        self._shared.publish_failures += 1
        _log.exception("publishing an event failed; the change is stored, and clients see it when they refetch")

    def _now(self) -> datetime:
        return check_time(self._clock(), "clock")


def _check_recipient(recipient: object, error: type[InvalidArgument] = InvalidArgument) -> None:
    if not isinstance(recipient, Recipient):
        raise error("recipient", f"expected a Recipient, got {recipient!r}")


def _check_cursor(cursor: object) -> Cursor:
    if not isinstance(cursor, Cursor) or not is_id(cursor.id):
        raise InvalidArgument("before", f"expected the Cursor of a notification, got {cursor!r}")
    return Cursor(check_time(cursor.created_at, "before"), cursor.id)


def _resolve_ids(recipient: Recipient, ids: Sequence[str], key: str | None) -> list[str]:
    """The well-formed ids, without repeats, and the id of the key."""
    _check_recipient(recipient)
    if not ids and key is None:
        raise InvalidArgument("ids", "expected at least one id, or a key=, got neither")
    if len(ids) > _MAX_IDS:
        raise InvalidArgument("ids", f"expected at most {_MAX_IDS} ids, got {len(ids)}")
    for id in ids:
        if not isinstance(id, str):
            raise InvalidArgument("ids", f"expected each id as a string of its own, got {id!r}")
    wanted = dict.fromkeys(id for id in ids if is_id(id))
    if key is not None:
        wanted[keyed_id(recipient, check_name(key, "key", at_most=255, error=InvalidArgument))] = None
    return list(wanted)


def _in_tenant(recipient: Recipient, tenant: str | None) -> Recipient:
    _check_recipient(recipient, InvalidNotification)
    if tenant is None or recipient.tenant == tenant:
        return recipient
    if recipient.tenant is not None:
        raise InvalidNotification(
            "tenant", f"the message is for tenant {tenant!r}, the recipient of tenant {recipient.tenant!r}"
        )
    return replace(recipient, tenant=tenant)


def _name(store: object) -> str:
    return type(store).__name__
