"""What is tested, however the caller hands it over: entered once, and with one asynchronous face."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from typing import Any, Final

from notistore.errors import Unsupported
from notistore.ids import new_id
from notistore.model import Recipient
from notistore.store import NotificationStore

__all__ = ["Subject", "distribution_of", "entered", "opened"]

_CORE: Final = [name for name, method in vars(NotificationStore).items() if inspect.iscoroutinefunction(method)]


@dataclass(frozen=True, slots=True)
class Subject:
    """A store to test and what the kit may use beside it. Yield it in place of the store to have more checked.

    Attributes:
        store: the store, asynchronous or synchronous.
        peer: a second client on the same data, as another process would have.
        transaction: gives what `bind` takes inside a transaction of the host: a context manager, asynchronous or not,
            that commits when it is left and rolls back when it is left by an exception.
        savepoint: the same for a savepoint inside that transaction; takes what `transaction` gave.
        outage: a context manager; while it is entered the store cannot reach its database.
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
    processes: bool | None = None
    scales: bool = False
    backend: str | None = None

    @property
    def is_sync(self) -> bool:
        return isinstance(self.store._store if isinstance(self.store, _Gapped) else self.store, _Threaded)

    @property
    def distribution(self) -> str | None:
        """What installed the store, with its version, or None where that is not known."""
        return distribution_of(self.plain)

    @property
    def plain(self) -> Any:
        """The store as it was handed over."""
        store = self.store
        while isinstance(store, _Threaded | _Gapped):
            store = store._store
        return store

    def bind(self, session: object) -> Any:
        """The store inside a transaction of the host, with an asynchronous face."""
        bound = self.store.bind(session)
        return _Inline(bound) if self.is_sync else bound


@asynccontextmanager
async def opened(make_store: Callable[[], Any]) -> AsyncIterator[Subject]:
    """Enter what `make_store` gives: a context manager or a generator, asynchronous or not, or just a store."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(entered(make_store()))
        subject = made if isinstance(made, Subject) else Subject(made)
        if not any(_has(subject.store, name) for name in _CORE):
            raise TypeError(f"expected make_store to give a store or a Subject, got {subject.store!r}")
        if not _is_async(subject.store):
            threads = stack.enter_context(ThreadPoolExecutor(thread_name_prefix="notistore-conformance"))
            subject = replace(
                subject,
                store=_Threaded(subject.store, threads),
                peer=None if subject.peer is None else _Threaded(subject.peer, threads),
            )
        if gaps := {name for name in _CORE if not _has(subject.plain, name)}:
            peer = None if subject.peer is None else _Gapped(subject.peer, gaps)
            subject = replace(subject, store=_Gapped(subject.store, gaps), peer=peer)
        yield subject


@asynccontextmanager
async def entered(thing: Any) -> AsyncIterator[Any]:
    """Enter a context manager, generator or awaitable of any colour; anything else is yielded as it is."""
    if inspect.isawaitable(thing):
        thing = await thing
    if inspect.isasyncgen(thing):
        thing = _from_async_generator(thing)
    elif inspect.isgenerator(thing):
        thing = _from_generator(thing)
    if hasattr(thing, "__aenter__"):
        async with thing as value:
            yield value
    elif hasattr(thing, "__enter__"):
        with thing as value:
            yield value
    else:
        yield thing


@asynccontextmanager
async def _from_async_generator(generator: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for value in generator:
        yield value


@contextmanager
def _from_generator(generator: Iterator[Any]) -> Iterator[Any]:
    yield from generator


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


def distribution_of(thing: object) -> str | None:
    """What installed this object's class, with its version, or None where that is not known."""
    package = type(thing).__module__.partition(".")[0]
    for entry in metadata.entry_points(group="notistore.stores"):  # of editable installs too
        if entry.module.partition(".")[0] == package and entry.dist is not None:
            return f"{entry.dist.name} {entry.dist.version}"
    found = metadata.packages_distributions().get(package)
    return f"{found[0]} {metadata.version(found[0])}" if found else None


class _Threaded:
    """A synchronous store's asynchronous face: each call in a worker thread."""

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
    """A store without some methods of the core: these raise Unsupported, as those of a part it does not offer do."""

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
    """The same without a thread: what joins a host's transaction has to stay in the host's thread."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name == "after_commit" or not callable(method):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return call
