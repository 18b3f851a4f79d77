"""Inbox: the service an application talks to. It makes and checks rows, stores them, then pushes."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, Protocol, runtime_checkable

from ._validation import MAX_DATA_BYTES, MAX_OFFSET, check_data, check_int, check_name, check_time, check_types
from .errors import InvalidArgument, InvalidNotification, Unsupported
from .hub import SseHub
from .ids import is_id, keyed_id, new_id
from .model import Actor, Cursor, JsonValue, Notification, Recipient, utc_now
from .sse import SOMETHING_CHANGED, Event
from .store import NotificationStore, supports

__all__ = ["Inbox", "Message"]

_log = logging.getLogger("notistore")

_MAX_IDS: Final = 10_000
_MAX_FRAMES: Final = 20  # a change of more rows than this is told by one empty event


@runtime_checkable
class Message(Protocol):
    """Any object that knows its type and data; its `key`, `live` and `tenant` are used where it has them."""

    @property
    def type(self) -> str: ...
    @property
    def data(self) -> Mapping[str, object]: ...


@dataclass(slots=True)
class _Shared:
    """What an inbox has in common with those bound from it, which live no longer than a transaction."""

    push_failures: int = 0
    warned: bool = False


class Inbox:
    """Sends notifications; pages, counts, marks and deletes them; tells the recipient's open streams of each change.

    Every verb names a recipient and touches no one else's rows. An id that is unknown, malformed or another
    recipient's is all the same: None, or not counted. Verbs that take ids take the key of a send as well.

    Every verb may raise `InvalidArgument`, before anything is asked of the store, and `StoreError` or one of its
    subclasses. A push never fails a call: its failure is logged and counted in `push_failures`.

    Args:
        store: where rows are kept.
        hub: where changes are told; None stores only.
        max_data_bytes: the most bytes of UTF-8 JSON one notification's data may take.
        max_limit: the most rows `page` gives at once.
        clock: the present, as an aware datetime.
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
        if hub is not None:
            hub.count = self.unread_counts

    @property
    def push_failures(self) -> int:
        """How many pushes have failed, those of the inboxes bound from this one included."""
        return self._shared.push_failures

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
        push: bool = True,
    ) -> Notification:
        """Store a notification, then tell the recipient's open streams. Returns it as stored.

        Args:
            recipient: whose inbox.
            type: what kind it is, or a `Message` that brings type and data itself. A message's tenant becomes the
                recipient's where that has none; where the two differ it is refused.
            data: a JSON object; None is the empty one.
            key: names one notification of this inbox that evolves in place: the next send with this key replaces its
                content, raises its version and makes it unread again.
            actor: who caused it.
            trace_id: joins it to the application's traces.
            renotify: False lets a replaced notification stay read, so that a progress bar can fill without ringing.
            live: a smaller payload to ride the stream in place of `data`, which is what is stored.
            push: False stores only.

        Raises:
            InvalidNotification: names the field that was refused; nothing was written.
        """
        [row], live = self._draft([recipient], type, data, key, actor, trace_id, live)
        stored = await self._keep(row, renotify)
        if push:
            self._announce(stored, live)
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
        push: bool = True,
    ) -> list[Notification]:
        """Send the same to many recipients, each once; arguments as for `send`. Returns the rows in their order.

        Without a key, on a store that inserts in bulk, all rows are stored or none. Otherwise they are sent one by
        one, and an error leaves those before it sent.
        """
        rows, live = self._draft(recipients, type, data, key, actor, trace_id, live)
        bulk = False
        if rows and rows[0].key is None and supports(self.store, "insert_many"):
            await self.store.insert_many(rows)
            bulk = True
        sent = []
        for row in rows:
            stored = row if bulk else await self._keep(row, renotify)
            if push:
                self._announce(stored, live)
            sent.append(stored)
        return sent

    async def push(self, recipient: Recipient, type: str | Message, data: Mapping[str, object] | None = None) -> None:
        """Tell the recipient's open streams something that is not stored: its item has version 0."""
        [row], live = self._draft([recipient], type, data, None, None, None, None)
        self._announce(replace(row, id=new_id(), key=None, version=0), live)

    async def publish(self, notification: Notification, *, live: Mapping[str, object] | None = None) -> None:
        """Tell the recipient's open streams of a stored notification: for callers that sent with `push=False`."""
        self._announce(notification, self._check_live(live))

    async def get(self, recipient: Recipient, id: str | None = None, *, key: str | None = None) -> Notification | None:
        """The notification with this id, or this key; None when this inbox holds none such."""
        if (id is None) == (key is None):
            raise InvalidArgument("id", "expected either an id or a key=")
        [*wanted] = _choose(recipient, () if id is None else (id,), key)
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
            recipient: whose inbox.
            unread_only: leave out what has been read.
            types: only these types; None or empty is no filter.
            before: only rows older than this cursor, usually the `cursor` of the last row of the page before: such
                pages neither skip nor repeat a row while others are added or read, as offsets do.
            offset: how many rows to pass over, from 0.
            limit: the most rows to return, from 0 to `max_limit`; by default 50, or `max_limit` where that is less.
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
        """How many notifications the inbox holds."""
        _check_recipient(recipient)
        return await self.store.count(recipient, types=check_types(types))

    async def unread_count(
        self, recipient: Recipient, *, types: Iterable[str] | None = None, at_most: int | None = None
    ) -> int:
        """How many are unread: the source of truth for every badge. With `at_most` (from 1) counting stops there."""
        _check_recipient(recipient)
        if at_most is not None:
            at_most = check_int(at_most, "at_most", at_least=1, at_most=MAX_OFFSET)
        return await self.store.unread_count(recipient, types=check_types(types), at_most=at_most)

    async def unread_counts(
        self, recipients: Iterable[Recipient], *, types: Iterable[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        """The unread count of each of these recipients: in one query, on a store that can."""
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
        """Mark notifications read. Returns how many went from unread to read; the first read_at wins."""
        wanted = _choose(recipient, ids, key)
        at = self._now()
        marked = await self.store.mark_read(recipient, *wanted, at=at) if wanted else 0
        if marked:
            self._push_change(recipient, [partial(Event.read, id, at) for id in wanted])
        return marked

    async def mark_unread(self, recipient: Recipient, *ids: str, key: str | None = None) -> int:
        """Mark notifications unread again. Returns how many went from read to unread."""
        wanted = _choose(recipient, ids, key)
        marked = await self.store.mark_unread(recipient, *wanted) if wanted else 0
        if marked:
            self._push_change(recipient, [partial(Event.unread, id) for id in wanted])
        return marked

    async def mark_all_read(
        self, recipient: Recipient, *, types: Iterable[str] | None = None, seen: datetime | None = None
    ) -> int:
        """Mark every unread notification read, or those of some types. Returns how many were.

        With `seen`, the newest updated_at the user was shown, what landed after it stays unread.
        """
        _check_recipient(recipient)
        wanted = check_types(types)
        until = None if seen is None else check_time(seen, "seen")
        at = self._now()
        marked = await self.store.mark_all_read(recipient, types=wanted, seen=until, at=at)
        if marked:
            everything = wanted is None and until is None
            self._push_change(recipient, [partial(Event.read, None, at)] if everything else [])
        return marked

    async def delete(self, recipient: Recipient, *ids: str, key: str | None = None) -> int:
        """Delete notifications. Returns how many were there."""
        wanted = _choose(recipient, ids, key)
        deleted = await self.store.delete(recipient, *wanted) if wanted else 0
        if deleted:
            self._push_change(recipient, [partial(Event.deleted, id) for id in wanted])
        return deleted

    def bind(self, session: object) -> Inbox:
        """An inbox inside the application's own transaction: what it does commits or vanishes with it.

        Streams are told once the outermost transaction has committed. Where the ORM has no hook for that, nothing is
        pushed, and the caller follows its commit with `await inbox.publish(notification)`.

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
        recipients: Iterable[Recipient],
        type: str | Message,
        data: Mapping[str, object] | None,
        key: str | None,
        actor: Actor | None,
        trace_id: str | None,
        live: Mapping[str, object] | None,
    ) -> tuple[list[Notification], Mapping[str, JsonValue] | None]:
        """The rows of one send, and its checked `live` payload; nothing is written."""
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
        to = list(dict.fromkeys(_in_tenant(recipient, tenant) for recipient in recipients))
        payload = self._check_live(live)
        if not to:
            return [], payload
        first = Notification.new(
            to[0],
            type,
            data,
            key=key,
            actor=actor,
            trace_id=trace_id,
            at=self._now(),
            max_data_bytes=self._max_data_bytes,
        )
        others = [
            replace(first, recipient=recipient, id=new_id() if key is None else keyed_id(recipient, key))
            for recipient in to[1:]
        ]
        return [first, *others], payload

    def _check_live(self, live: Mapping[str, object] | None) -> Mapping[str, JsonValue] | None:
        return None if live is None else check_data(live, "live", max_bytes=self._max_data_bytes)

    async def _keep(self, row: Notification, renotify: bool) -> Notification:
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

    def _announce(self, notification: Notification, live: Mapping[str, JsonValue] | None) -> None:
        if self.hub is not None:
            self._push(notification.recipient, Event.notification(notification, live=live))

    def _push_change(self, recipient: Recipient, events: Sequence[Callable[[], Event]]) -> None:
        told = [make() for make in events] if len(events) <= _MAX_FRAMES else []
        self._push(recipient, *told, SOMETHING_CHANGED)

    def _push(self, recipient: Recipient, *events: Event) -> None:
        if self.hub is None:
            return
        publish = partial(self._publish_safely, self.hub, recipient, *events)
        if self._after_commit is None:
            publish()
            return
        try:
            self._after_commit(publish)
        except Unsupported:
            _log.debug("no hook after the commit: the caller publishes")
        except Exception:
            self._push_failed()

    def _publish_safely(self, hub: SseHub, recipient: Recipient, *events: Event) -> None:
        # Also what runs after a commit, where an error would surface in the application's own code.
        try:
            hub.publish(recipient, *events)
        except Exception:
            self._push_failed()

    def _push_failed(self) -> None:
        self._shared.push_failures += 1
        _log.exception("a push failed; what it tells of is stored, and streams catch up from the store")

    def _now(self) -> datetime:
        return check_time(self._clock(), "clock")


def _check_recipient(recipient: object, error: type[InvalidArgument] = InvalidArgument) -> None:
    if not isinstance(recipient, Recipient):
        raise error("recipient", f"expected a Recipient, got {recipient!r}")


def _check_cursor(cursor: object) -> Cursor:
    if not isinstance(cursor, Cursor) or not is_id(cursor.id):
        raise InvalidArgument("before", f"expected the Cursor of a notification, got {cursor!r}")
    return Cursor(check_time(cursor.created_at, "before"), cursor.id)


def _choose(recipient: Recipient, ids: Sequence[str], key: str | None) -> list[str]:
    """What may be the ids of this recipient's rows, each once; no store is asked about anything else."""
    _check_recipient(recipient)
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
