"""Where a check works: nodes on one server, as the processes of an application are, and keys no one has used before."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

from notistore.backplane import Backplane

from ..clauses import BACKPLANE_CLAUSES
from ..context import Broken, NotOffered, Profile
from ..registry import Check
from ..subject import entered
from .subject import BackplaneSubject, made

__all__ = ["Message", "Node", "Site", "begun_tasks"]

Message: TypeAlias = tuple[str, bytes]

_ARRIVAL: Final = 5.0  # seconds until a message counts as lost
_SECONDS: Final = 15.0  # what "within seconds" is, of a call and of a connection that is gone
_RETURN: Final = 20.0  # seconds that a backplane has to be of use again after an outage
_LINES: Final = 14


class Node:
    """An open backplane, as one process has it, and what it has received."""

    def __init__(self, site: Site, name: str, subject: BackplaneSubject) -> None:
        self.name = name
        self.received: list[Message] = []
        self.gaps = 0
        self.open = False
        self._site = site
        self._subject = subject
        self._plane: Backplane = subject.backplane
        self._changed = asyncio.Event()

    async def begin(self) -> None:
        """Open it."""
        self.open = True
        await self._site.within_seconds(
            "open.returns", self._plane.open(self._receive, self._missed), self._log("open")
        )

    async def end(self) -> None:
        """Close it."""
        self._log("close()")
        self.open = False
        await self._plane.close()

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
        """Publish once the server is there again; until then it has to raise."""
        async with self._site.timeout(_RETURN, "connection.returns", "a publish that does not raise"):
            while True:
                try:
                    return await self.publish(*messages)
                except Exception as error:
                    self._log(f"publish raised {error!r}")
                    await asyncio.sleep(0.1)

    async def half_open(self) -> None:
        """Make its connections dead without closing them."""
        if self._subject.half_open is None:
            raise NotOffered("a way to make connections half open (BackplaneSubject.half_open)")
        self._log("its connections become half open")
        async with entered(self._subject.half_open()):
            pass

    async def until(self, clause: str, *messages: Message) -> list[Message]:
        """What it has received, once all of these are among it."""
        missing = set(messages)

        def here() -> bool:
            missing.difference_update(self.received)
            return not missing

        await self._wait(here, _ARRIVAL, clause, f"{self.name} receives {_shown(messages)}")
        return self.received

    async def until_missed(self, clause: str, *, soon: bool = False) -> None:
        """Return once `missed` has been called since `gaps` was last 0; `soon` is within seconds."""
        within = _SECONDS if soon else _RETURN
        await self._wait(lambda: self.gaps > 0, within, clause, f"missed() is called in {self.name}")

    def of(self, *keys: str) -> list[Message]:
        """What it has received for these keys."""
        return [message for message in self.received if message[0] in keys]

    async def _wait(self, condition: Callable[[], bool], within: float, clause: str, expected: str) -> None:
        async with self._site.timeout(within, clause, expected, lambda: f"received: {_shown(self.received)}"):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _receive(self, key: str, message: bytes) -> None:
        if self.open:
            self.received.append((key, bytes(message)))
            self._changed.set()

    def _missed(self) -> None:
        self._log("missed() was called")
        self.gaps += 1
        self._changed.set()

    def _log(self, line: str) -> str:
        self._site.done.append(f"{self.name}: {line}")
        return line


class Site:
    """One check's nodes and expectations."""

    def __init__(
        self, check: Check, make_backplane: Callable[[], Any], subject: BackplaneSubject, profile: Profile
    ) -> None:
        self.check = check
        self.profile = profile
        self.done: list[str] = []
        self._make_backplane = make_backplane
        self._subject = subject
        self._token = secrets.token_hex(4)
        self._nodes = 0

    def key(self, name: str = "key") -> str:
        """A key no one has used before."""
        return f"{self._token} {name}"

    def keys(self, number: int) -> list[str]:
        return [self.key(str(n)) for n in range(number)]

    @asynccontextmanager
    async def node(self, *, opened: bool = True) -> AsyncIterator[Node]:
        """One process's backplane, closed at the end."""
        async with made(self._make_backplane) as subject:
            self._nodes += 1
            node = Node(self, f"node {self._nodes}", subject)
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
        """The server is away, and is back at the end."""
        if self._subject.outage is None:
            raise NotOffered("a way to cut it off from its server (BackplaneSubject.outage)")
        self.done.append("the server goes away")
        async with entered(self._subject.outage()):
            yield
        self.done.append("the server is back")

    def equal(self, clause: str, got: object, expected: object, what: str = "") -> None:
        if got != expected:
            raise self.broken(clause, _cut(repr(expected)), _cut(repr(got)), what)

    async def raises(self, clause: str, call: Awaitable[None], what: str) -> None:
        """The call raises, or has not returned when the hub would give it up."""
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

    def broken(self, clause: str, expected: str, got: str, what: str = "") -> Broken:
        """What was done, what is promised, what came back."""
        if clause not in {*self.check.clauses, "open.returns"}:  # every check opens nodes
            raise LookupError(f"the check {self.check.id!r} expects {clause!r}, which it does not cite")
        return Broken(self.explain([clause], expected, got, what))

    def explain(self, clauses: Sequence[str], expected: str, got: str, what: str = "") -> str:
        lines = [f"{self.check.id}: {self.check.title}", "done:"]
        if len(self.done) > _LINES:
            lines.append(f"    ({len(self.done) - _LINES} earlier steps)")
        lines += [f"    {line}" for line in self.done[-_LINES:]]
        lines += ["promised:", *(f"    [{clause}] {BACKPLANE_CLAUSES[clause]}" for clause in clauses)]
        lines += [f"expected{f' ({what})' if what else ''}:", f"    {expected}", "came back:", f"    {got}"]
        return "\n".join(lines)


@contextmanager
def begun_tasks() -> Iterator[list[asyncio.Task[Any]]]:
    """The tasks that are begun from here on, by what is called here or by what that has begun; no one else's."""
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
