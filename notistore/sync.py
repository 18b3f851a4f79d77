"""For code without an event loop: WSGI views, workers, scripts.

`SyncNotificationStore` is the contract without `async`; `SyncInbox` is an `Inbox` whose verbs block. Over a sync store
its calls stay on the caller's thread, inside the caller's own transaction where the store is bound to one. Over an
async `Inbox` they run on an event loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, Self, TypedDict, TypeVar, Unpack, runtime_checkable

from .errors import InvalidArgument, Unsupported
from .hub import SseHub
from .inbox import Inbox, Message
from .model import Actor, Cursor, Notification, Recipient

__all__ = ["SyncInbox", "SyncNotificationStore", "as_async", "run_plain"]

T = TypeVar("T")


@runtime_checkable
class SyncNotificationStore(Protocol):
    """`notistore.NotificationStore` without `async`: the same methods, the same promises.

    Its optional parts are those of `notistore.store`, without `async` too.
    """

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
    """What an `Inbox` can be told about itself."""

    max_data_bytes: int
    max_limit: int
    clock: Callable[[], datetime]


class SyncInbox:
    """An `Inbox` whose verbs block; each means, takes, returns and raises what the `Inbox` verb of its name does.

    Over a sync store nothing leaves the caller's thread, so the store may be bound to that thread's session. Over an
    async inbox everything runs on one event loop in a daemon thread, started by the first call (after a worker has
    forked, then). `close()`, or the end of the `with` block, lets what was published leave for other processes, and
    ends that thread. Async clients belong to one event loop: what they need besides the inbox's verbs goes through
    `run`.

    Args:
        inbox: an async `Inbox`, or a `SyncNotificationStore`.
        hub: with a sync store, where changes are told.
        settings: with a sync store, `max_data_bytes`, `max_limit` and `clock`, as `Inbox` takes them.

    Any thread may call any verb, as far as the store allows it.
    """

    def __init__(
        self, inbox: Inbox | SyncNotificationStore, hub: SseHub | None = None, **settings: Unpack[Settings]
    ) -> None:
        self._is_plain = not isinstance(inbox, Inbox)
        self._loop = _LoopThread()
        if isinstance(inbox, Inbox):
            for name, given in {"hub": hub, **settings}.items():
                if given is not None:
                    raise InvalidArgument(name, "expected none beside an Inbox, which has its own")
            self._inbox = inbox
        else:
            self._inbox = Inbox(as_async(inbox), hub, **settings)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def push_failures(self) -> int:
        """How many pushes have failed, those of the inboxes bound from this one included."""
        return self._inbox.push_failures

    def start(self) -> None:
        """Give the hub of a process without an event loop (a WSGI server, a worker) one for its backplane.

        Needed over a sync store only; `with` does it. Call it after the process has forked. It does nothing where the
        hub has a loop already, or no backplane.
        """
        hub = self._inbox.hub
        if self._is_plain and hub is not None and hub._backplane is not None and hub._loop is None:
            self._loop.run(hub.__aenter__())

    def close(self) -> None:
        """End the thread, where there is one. The store's client is closed by whoever made it. Idempotent."""
        hub = self._inbox.hub
        if hub is not None and self._loop.runs(hub):
            self._loop.run(hub.aclose())
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine where this inbox's own run (`create_schema()`, closing an engine) and return its result."""
        return run_plain(coroutine) if self._is_plain else self._loop.run(coroutine)

    def bind(self, session: object) -> SyncInbox:
        """An inbox inside the application's own transaction, as `Inbox.bind`; over sync stores only."""
        if not self._is_plain:
            raise Unsupported("an async session cannot be joined from another thread; bind a sync store's inbox")
        bound = copy.copy(self)
        bound._inbox = self._inbox.bind(session)
        return bound

    def send(
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
        return self.run(
            self._inbox.send(
                recipient,
                type,
                data,
                key=key,
                actor=actor,
                trace_id=trace_id,
                renotify=renotify,
                live=live,
                push=push,
            )
        )

    def send_many(
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
        return self.run(
            self._inbox.send_many(
                recipients,
                type,
                data,
                key=key,
                actor=actor,
                trace_id=trace_id,
                renotify=renotify,
                live=live,
                push=push,
            )
        )

    def push(self, recipient: Recipient, type: str | Message, data: Mapping[str, object] | None = None) -> None:
        self.run(self._inbox.push(recipient, type, data))

    def publish(self, notification: Notification, *, live: Mapping[str, object] | None = None) -> None:
        self.run(self._inbox.publish(notification, live=live))

    def get(self, recipient: Recipient, id: str | None = None, *, key: str | None = None) -> Notification | None:
        return self.run(self._inbox.get(recipient, id, key=key))

    def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Iterable[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Sequence[Notification]:
        return self.run(
            self._inbox.page(recipient, unread_only=unread_only, types=types, before=before, offset=offset, limit=limit)
        )

    def count(self, recipient: Recipient, *, types: Iterable[str] | None = None) -> int:
        return self.run(self._inbox.count(recipient, types=types))

    def unread_count(
        self, recipient: Recipient, *, types: Iterable[str] | None = None, at_most: int | None = None
    ) -> int:
        return self.run(self._inbox.unread_count(recipient, types=types, at_most=at_most))

    def unread_counts(
        self, recipients: Iterable[Recipient], *, types: Iterable[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        return self.run(self._inbox.unread_counts(recipients, types=types, at_most=at_most))

    def mark_read(self, recipient: Recipient, *ids: str, key: str | None = None) -> int:
        return self.run(self._inbox.mark_read(recipient, *ids, key=key))

    def mark_unread(self, recipient: Recipient, *ids: str, key: str | None = None) -> int:
        return self.run(self._inbox.mark_unread(recipient, *ids, key=key))

    def mark_all_read(
        self, recipient: Recipient, *, types: Iterable[str] | None = None, seen: datetime | None = None
    ) -> int:
        return self.run(self._inbox.mark_all_read(recipient, types=types, seen=seen))

    def delete(self, recipient: Recipient, *ids: str, key: str | None = None) -> int:
        return self.run(self._inbox.delete(recipient, *ids, key=key))


def run_plain(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, without an event loop, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    coroutine.close()
    raise RuntimeError("expected a coroutine that waits for nothing: is every store in it a sync one?")


def as_async(store: SyncNotificationStore) -> Any:
    """A sync store's async face, a `NotificationStore`: coroutines that block, and never suspend."""
    return _AsyncFace(store)


class _AsyncFace:
    def __init__(self, store: object) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name == "bind":
            return lambda session: _AsyncFace(method(session))
        if name == "after_commit" or not callable(method):
            return method

        async def call(*args: object, **options: object) -> object:
            return method(*args, **options)

        return call


class _LoopThread:
    """One event loop in a daemon thread, begun by the first coroutine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def runs(self, hub: SseHub) -> bool:
        """Whether this is the loop the hub belongs to."""
        return self._loop is not None and hub._loop is self._loop

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        loop = self._running()
        interrupted = False
        running: list[asyncio.Task[Any]] = []

        async def tracked() -> T:
            task = asyncio.current_task()
            assert task is not None
            running.append(task)
            if interrupted:
                task.cancel()
            return await coroutine

        try:
            return asyncio.run_coroutine_threadsafe(tracked(), loop).result()
        except BaseException:
            # The caller may have been interrupted at any point, even before it had a future to cancel: what it no
            # longer waits for must not go on.
            interrupted = True
            for task in running:
                loop.call_soon_threadsafe(task.cancel)
            raise

    def close(self) -> None:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():  # a fork leaves it behind
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name="notistore-sync", daemon=True)
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()
