"""The context of a check: nodes on one server, like the processes of an application, and unused keys."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeAlias

from notistore.hub.backplane import Backplane

from ..clauses import BACKPLANE_CLAUSES
from ..registry import Check
from ..running.exceptions import ContractViolation, NotOffered
from ..running.explain import explain, latest
from ..running.factories import entered
from ..running.profiles import Profile
from .implementation import BackplaneImplementation, made

__all__ = ["BackplaneContext", "Message", "Node", "begun_tasks"]

Message: TypeAlias = tuple[str, bytes]

_ARRIVAL: Final = 5.0  # seconds until a message counts as lost
_SECONDS: Final = 15.0  # what "within seconds" is, of a call and of a connection that is gone
_RETURN: Final = 20.0  # seconds that a backplane has to be of use again after an outage
_QUIET: Final = 0.3  # seconds in which what should not come would have come
_ALWAYS: Final = ("open.returns", "open.loop", "close.ends")  # every check opens nodes, receives and closes


class Node:
    """An open backplane, as in one process, and what it has received."""

    def __init__(self, context: BackplaneContext, name: str, implementation: BackplaneImplementation) -> None:
        self.name = name
        self.received: list[Message] = []
        self.gaps = 0
        self.open = False
        self._times = 0
        self._context = context
        self._implementation = implementation
        self._plane: Backplane = implementation.backplane
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    async def begin(self) -> None:
        """Open it with new callbacks."""
        self.open = True
        self._times += 1
        opening = self._plane.open(partial(self._receive, self._times), self._missed)
        await self._context.within_seconds("open.returns", opening, self._log("open"))

    async def end(self) -> None:
        """Close it."""
        self.open = False
        await self._context.within_seconds("close.ends", self._plane.close(), self._log("close()"))

    async def subscribe(self, keys: Collection[str]) -> None:
        self._log(f"subscribe({_shown(keys)})")
        await self._plane.subscribe(keys)

    async def unsubscribe(self, keys: Collection[str]) -> None:
        self._log(f"unsubscribe({_shown(keys)})")
        await self._plane.unsubscribe(keys)

    async def publish(self, *messages: Message) -> None:
        self._log(f"publish({_shown(messages)})")
        await self._plane.publish(messages)

    async def accepts(self, *messages: Message) -> None:
        """Publish once the server is back; until then publishing has to raise."""
        async with self._context.timeout(_RETURN, "connection.returns", "a publish that does not raise"):
            while True:
                try:
                    return await self.publish(*messages)
                except Exception as error:
                    self._log(f"publish raised {error!r}")
                    await asyncio.sleep(0.1)

    async def half_open(self) -> None:
        """Make its connections half open: nothing is delivered, and nothing closed."""
        if self._implementation.half_open is None:
            raise NotOffered("a way to make connections half open (BackplaneImplementation.half_open)")
        self._log("its connections become half open")
        async with entered(self._implementation.half_open()):
            pass

    async def until(self, clause: str, *messages: Message) -> list[Message]:
        """What it has received, as soon as all of these are included."""
        missing = set(messages)

        def here() -> bool:
            missing.difference_update(self.received)
            return not missing

        await self._wait(here, _ARRIVAL, clause, f"{self.name} receives {_shown(messages)}")
        return self.received

    async def quiet(self) -> None:
        """Wait as long as a message that must not arrive would take to arrive."""
        await asyncio.sleep(_QUIET)

    async def until_missed(self, clause: str, *, soon: bool = False) -> None:
        """Return once `missed` was called since `gaps` was last 0; with `soon`, within seconds."""
        within = _SECONDS if soon else _RETURN
        await self._wait(lambda: self.gaps > 0, within, clause, f"missed() is called in {self.name}")

    def of(self, *keys: str) -> list[Message]:
        """What it has received for these keys."""
        return [message for message in self.received if message[0] in keys]

    async def _wait(self, condition: Callable[[], bool], within: float, clause: str, expected: str) -> None:
        async with self._context.timeout(within, clause, expected, lambda: f"received: {_shown(self.received)}"):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
                self._context.settle()

    def _receive(self, time: int, key: str, message: bytes) -> None:
        if threading.get_ident() != self._thread:
            self._context.wrong.append(
                ("open.loop", "a call in the event loop's thread", "receive was called in another")
            )
            self._loop.call_soon_threadsafe(self._changed.set)
            return
        if type(key) is not str or type(message) is not bytes:
            got = f"receive({type(key).__name__}, {type(message).__name__})"
            self._context.wrong.append(("open.loop", "receive(str, bytes)", got))
        if time != self._times:
            got = f"the function of open {time} was called once it was opened {self._times} times"
            self._context.wrong.append(("open.loop", "calls of the function that open was last given", got))
        if self.open:
            self.received.append((key, bytes(message)))
        self._changed.set()

    def _missed(self) -> None:
        self._log("missed() was called")
        self.gaps += 1
        self._changed.set()

    def _log(self, line: str) -> str:
        self._context.done.append(f"{self.name}: {line}")
        return line


class BackplaneContext:
    """One check's nodes and expectations."""

    def __init__(
        self, check: Check, make_backplane: Callable[[], Any], implementation: BackplaneImplementation, profile: Profile
    ) -> None:
        self.check = check
        self.profile = profile
        self.done: list[str] = []
        self.wrong: list[tuple[str, str, str]] = []
        self._make_backplane = make_backplane
        self._implementation = implementation
        self._token = secrets.token_hex(4)
        self._nodes = 0

    def key(self, name: str = "key") -> str:
        """An unused key."""
        return f"{self._token} {name}"

    def keys(self, number: int) -> list[str]:
        return [self.key(str(n)) for n in range(number)]

    @asynccontextmanager
    async def node(self, *, opened: bool = True) -> AsyncIterator[Node]:
        """One process's backplane, closed at the end."""
        async with made(self._make_backplane) as implementation:
            self._nodes += 1
            node = Node(self, f"node {self._nodes}", implementation)
            try:
                if opened:
                    await node.begin()
                yield node
            finally:
                if node.open:
                    await node.end()

    @asynccontextmanager
    async def nodes(self, number: int) -> AsyncIterator[list[Node]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.node()) for _ in range(number)]

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """The server is unreachable inside the block."""
        if self._implementation.outage is None:
            raise NotOffered("a way to cut it off from its server (BackplaneImplementation.outage)")
        self.done.append("the server goes away")
        async with entered(self._implementation.outage()):
            yield
        self.done.append("the server is back")

    def settle(self) -> None:
        """Raise the error of a callback that the backplane has called wrongly."""
        for wrong in self.wrong:
            raise self.broken(*wrong)

    def equal(self, clause: str, got: object, expected: object, what: str = "") -> None:
        if got != expected:
            raise self.broken(clause, _cut(repr(expected)), _cut(repr(got)), what)

    async def raises(self, clause: str, call: Awaitable[None], what: str) -> None:
        """The call raises, or does not return within the hub's timeout."""
        try:
            async with asyncio.timeout(_ARRIVAL):
                await call
        except Exception:
            return
        raise self.broken(clause, "an error, of any type", "it returned", what)

    async def within_seconds(self, clause: str, call: Awaitable[None], what: str) -> None:
        async with self.timeout(_SECONDS, clause, f"{what} returns within {_SECONDS:.0f} s"):
            await call

    @asynccontextmanager
    async def timeout(
        self, seconds: float, clause: str, expected: str, got: Callable[[], str] | None = None
    ) -> AsyncIterator[None]:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            came = f"not within {seconds:g} s" + (f"; {got()}" if got else "")
            raise self.broken(clause, expected, came) from None

    def broken(self, clause: str, expected: str, got: str, what: str = "") -> ContractViolation:
        """The message of a failure: what was done, what is promised, what was returned."""
        if clause not in {*self.check.clauses, *_ALWAYS}:
            raise LookupError(f"the check {self.check.id!r} expects {clause!r}, which it does not cite")
        return ContractViolation(self.explain([clause], expected, got, what))

    def explain(self, clauses: Sequence[str], expected: str, got: str, what: str = "") -> str:
        return explain(self.check, latest(self.done), BACKPLANE_CLAUSES, clauses, expected, got, what)


@contextmanager
def begun_tasks() -> Iterator[list[asyncio.Task[Any]]]:
    """The tasks started inside the block, directly or by such tasks, but by no other code."""
    begun: list[asyncio.Task[Any]] = []
    here = ContextVar("here", default=False)

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        if here.get():
            begun.append(task)
        return task

    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(make)
    token = here.set(True)
    try:
        yield begun
    finally:
        here.reset(token)
        loop.set_task_factory(before)


def _shown(values: Collection[object]) -> str:
    first = ", ".join(_cut(repr(value), 60) for value in list(values)[-3:])
    return first if len(values) <= 3 else f"{len(values)} in all, the last {first}"


def _cut(text: str, width: int = 300) -> str:
    return text if len(text) <= width else f"{text[: width - 20]}...{text[-15:]}"
