"""Blocking counterparts of the inbox and the store, for code without an event loop: WSGI views, workers, scripts.

`SyncNotificationStore` is the contract without `async`; `SyncInbox` is an `Inbox` whose methods block. Over a sync
store a call runs on the caller's thread, so it can join the caller's transaction. Over an async `Inbox` it runs on an
event loop in a background thread.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypedDict, TypeVar, Unpack, cast, runtime_checkable

from ._loop_thread import LoopThread
from .errors import InvalidArgument, Unsupported
from .hub import SseHub
from .inbox import Inbox
from .model import Cursor, Notification, Recipient
from .store import NotificationStore

__all__ = ["SyncInbox", "SyncNotificationStore", "as_async", "run_without_loop"]

P = ParamSpec("P")
T = TypeVar("T")


@runtime_checkable
class SyncNotificationStore(Protocol):
    """`notistore.NotificationStore` without `async`: the same methods and promises, and the same optional parts."""

    def insert(self, notification: Notification) -> None: ...
    def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification: ...
    def get(self, recipient: Recipient, id: str) -> Notification | None: ...
    def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Sequence[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Sequence[Notification]: ...
    def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int: ...
    def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int: ...
    def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int: ...
    def mark_unread(self, recipient: Recipient, *ids: str) -> int: ...
    def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int: ...
    def delete(self, recipient: Recipient, *ids: str) -> int: ...


class Settings(TypedDict, total=False):
    """The options of an `Inbox`."""

    max_data_bytes: int
    max_limit: int
    clock: Callable[[], datetime]


def _blocking(
    method: Callable[Concatenate[Inbox, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncInbox, P], T]:
    """A method of `Inbox` as one of `SyncInbox`, with its parameters, result and docstring."""

    def call(self: SyncInbox, /, *args: P.args, **kwargs: P.kwargs) -> T:
        coroutine: Coroutine[Any, Any, T] = getattr(self._inbox, method.__name__)(*args, **kwargs)
        return self.run(coroutine)

    return update_wrapper(call, method)


class SyncInbox:
    """An `Inbox` whose methods block: each takes, returns and raises what the method of `Inbox` with its name does.

    Over a sync store every call runs on the caller's thread, so the store may be bound to that thread's session. Over
    an async inbox all calls run on one event loop in a daemon thread. The first call starts it, so a worker process
    should make that call after its fork. `close()`, or the end of the `with` block, waits until published events were
    sent to other processes, then ends the thread. An async database client belongs to one event loop: use `run` for its
    other coroutines, such as `create_schema()`.

    Args:
        inbox: an async `Inbox`, or a `SyncNotificationStore`.
        hub: with a sync store, delivers events to the recipients' open streams. If it has a backplane, call `start()`.
        settings: with a sync store, `max_data_bytes`, `max_limit` and `clock`, as for `Inbox`.

    Methods may be called from any thread, if the store allows that.
    """

    def __init__(
        self, inbox: Inbox | SyncNotificationStore, hub: SseHub | None = None, **settings: Unpack[Settings]
    ) -> None:
        self._is_sync = not isinstance(inbox, Inbox)
        self._loop = LoopThread()
        if isinstance(inbox, Inbox):
            for name, given in {"hub": hub, **settings}.items():
                if given is not None:
                    raise InvalidArgument(name, "expected none beside an Inbox, which has its own")
            self._inbox = inbox
        elif inspect.iscoroutinefunction(getattr(inbox, "insert", None)):
            raise InvalidArgument(
                "inbox", f"expected an Inbox or a sync store, got the async {inbox!r}: use SyncInbox(Inbox(store))"
            )
        else:
            self._inbox = Inbox(as_async(inbox), hub, **settings)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def publish_failures(self) -> int:
        """How often publishing an event has failed, in this inbox and in those bound from it."""
        return self._inbox.publish_failures

    def start(self) -> None:
        """Start an event loop for the hub's backplane, in a process without one (a WSGI server, a worker).

        Needed only with a sync store; a `with` block calls it. Call it after the process has forked. It does nothing if
        the hub has no backplane, or is running already.
        """
        hub = self._inbox.hub
        if not self._is_sync or hub is None or hub._backplane is None:
            return
        if hub._loop is None or hub._loop.is_closed():
            self._loop.run(hub.__aenter__())

    def close(self) -> None:
        """End the background thread, if there is one. The store's client stays open. Idempotent."""
        hub = self._inbox.hub
        if hub is not None and self._loop.runs(hub):
            self._loop.run(hub.aclose())
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, such as `store.create_schema()`, as this inbox runs its own. Returns its result."""
        return run_without_loop(coroutine) if self._is_sync else self._loop.run(coroutine)

    def bind(self, session: object) -> SyncInbox:
        """An inbox inside the application's own transaction, as by `Inbox.bind`; with sync stores only."""
        if not self._is_sync:
            raise Unsupported("an async session cannot be joined from another thread; bind a sync store's inbox")
        bound = copy.copy(self)
        bound._inbox = self._inbox.bind(session)
        return bound

    send = _blocking(Inbox.send)
    send_many = _blocking(Inbox.send_many)
    send_live = _blocking(Inbox.send_live)
    publish = _blocking(Inbox.publish)
    get = _blocking(Inbox.get)
    page = _blocking(Inbox.page)
    count = _blocking(Inbox.count)
    unread_count = _blocking(Inbox.unread_count)
    unread_counts = _blocking(Inbox.unread_counts)
    mark_read = _blocking(Inbox.mark_read)
    mark_unread = _blocking(Inbox.mark_unread)
    mark_all_read = _blocking(Inbox.mark_all_read)
    delete = _blocking(Inbox.delete)


def run_without_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, without an event loop, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    coroutine.close()
    raise RuntimeError("expected a coroutine that never suspends, got one that awaits I/O; use a sync store")


def as_async(store: SyncNotificationStore) -> NotificationStore:
    """Wrap a sync store as an async one, whose coroutines block and never suspend, with the same optional parts."""
    return cast(NotificationStore, _AsyncStore(store))


class _AsyncStore:
    blocking = True

    def __init__(self, store: object) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name == "bind":
            return lambda session: _AsyncStore(method(session))
        if name == "after_commit" or not callable(method):
            return method

        async def call(*args: object, **options: object) -> object:
            return method(*args, **options)

        return call
