"""The object under test, from any kind of factory: entered once, with an asynchronous interface."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from notistore.errors import Unsupported
from notistore.ids import new_id
from notistore.memory import MemoryStore
from notistore.model import Recipient
from notistore.store import NotificationStore

from ..running.factories import distribution_of, entered

__all__ = ["StoreImplementation", "opened"]

_CORE: Final = [
    name for name, member in vars(NotificationStore).items() if inspect.isfunction(member) and not name.startswith("_")
]


@dataclass(frozen=True, slots=True)
class StoreImplementation:
    """A store to test and what the kit may use beside it. Yield it in place of the store to have more checked.

    Attributes:
        store: the store, asynchronous or synchronous.
        peer: a second client on the same data, as another process would have.
        transaction: gives what `bind` takes inside a transaction of the host: a context manager, asynchronous or not,
            that commits when it is left and rolls back when it is left by an exception.
        savepoint: the same for a savepoint inside that transaction; takes what `transaction` gave.
        outage: a context manager; while it is entered the store cannot reach its database.
        no_outage: why there is none, such as "an embedded database"; the verdict says so. Without either the verdict is
            PARTIAL, for nothing shows that errors are a StoreError. A MemoryStore's own is that it has no database.
        lose_reply: takes the id of a row (of a recipient, for a write that names no row) and gives a context manager.
            While that is entered, the next request with this id in it is carried out, and the connection breaks before
            the reply; where writes are transactions, it is the reply to their COMMIT. Left without having lost a
            reply, it raises.
        processes: whether `make_store`, called in another process, gives a store on the same data. None: it is tried,
            and shown as not offered where it is not so; True: it is promised; False: the data live in this process.
        scales: says that a badge, a page and a mark cost the same however full the inbox, and has that measured.
        backend: what the store keeps its rows in and which version of it, for the report ("PostgreSQL 17.2").
    """

    store: Any
    peer: Any = None
    transaction: Callable[[], Any] | None = None
    savepoint: Callable[[Any], Any] | None = None
    outage: Callable[[], Any] | None = None
    no_outage: str | None = None
    lose_reply: Callable[[str], Any] | None = None
    processes: bool | None = None
    scales: bool = False
    backend: str | None = None

    @property
    def is_sync(self) -> bool:
        return isinstance(self.store._store if isinstance(self.store, _Gapped) else self.store, _Threaded)

    @property
    def distribution(self) -> str | None:
        """The distribution that installed the store, with its version, or None if unknown."""
        return distribution_of(self.plain)

    @property
    def plain(self) -> Any:
        """The store as the factory returned it."""
        store = self.store
        while isinstance(store, _Threaded | _Gapped):
            store = store._store
        return store

    def bind(self, session: object) -> Any:
        """The store inside a transaction of the host, with an asynchronous interface."""
        bound = self.store.bind(session)
        return _Inline(bound) if self.is_sync else bound


@asynccontextmanager
async def opened(make_store: Callable[[], Any]) -> AsyncIterator[StoreImplementation]:
    """Enter the result of `make_store`: a context manager or a generator, synchronous or asynchronous, or a store."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(entered(make_store()))
        implementation = made if isinstance(made, StoreImplementation) else StoreImplementation(made)
        if not any(_has(implementation.store, name) for name in _CORE):
            raise TypeError(
                f"expected make_store to give a store or a StoreImplementation, got {implementation.store!r}, "
                f"which has none of the methods {', '.join(_CORE)}"
            )
        if not _is_async(implementation.store):
            threads = stack.enter_context(ThreadPoolExecutor(thread_name_prefix="notistore-conformance"))
            implementation = replace(
                implementation,
                store=_Threaded(implementation.store, threads),
                peer=None if implementation.peer is None else _Threaded(implementation.peer, threads),
            )
        if gaps := {name for name in _CORE if not _has(implementation.plain, name)}:
            peer = None if implementation.peer is None else _Gapped(implementation.peer, gaps)
            implementation = replace(implementation, store=_Gapped(implementation.store, gaps), peer=peer)
        if isinstance(implementation.plain, MemoryStore) and implementation.no_outage is None:
            implementation = replace(implementation, no_outage="its rows are in this process")
        yield implementation


def _has(store: Any, name: str) -> bool:
    return callable(getattr(store, name, None))


def _is_async(store: Any) -> bool:
    if any(inspect.iscoroutinefunction(getattr(store, name, None)) for name in _CORE):
        return True
    try:  # a decorated coroutine function does not look like one; a call does nothing until it is awaited
        answer = store.get(Recipient("conformance"), new_id())
    except Exception:
        return False
    if inspect.iscoroutine(answer):
        answer.close()
    return inspect.isawaitable(answer)


class _Threaded:
    """An asynchronous interface to a synchronous store: each call runs in a worker thread."""

    def __init__(self, store: Any, threads: ThreadPoolExecutor) -> None:
        self._store = store
        self._threads = threads

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name == "bind" or not callable(method):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            inside = partial(contextvars.copy_context().run, method, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._threads, inside)

        return call


class _Gapped:
    """A store without some methods of the core: they raise Unsupported, like those of a part that is not offered."""

    def __init__(self, store: Any, gaps: set[str]) -> None:
        self._store = store
        self._gaps = gaps

    def __getattr__(self, name: str) -> Any:
        if name not in self._gaps:
            return getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            raise Unsupported(f"{name}, a core method that is missing")

        return call


class _Inline:
    """The same without a thread: a store that joins a host's transaction has to stay in the host's thread."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name == "after_commit" or not callable(method):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return call
