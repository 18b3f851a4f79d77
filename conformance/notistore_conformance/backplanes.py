"""What `notistore.backplane.Backplane` promises, checked on any backplane while its server is there."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Final, TypeAlias

from notistore.backplane import Backplane

from .context import Broken
from .registry import CONTRACT
from .report import About, Outcome, Report, Result
from .run import name_of

__all__ = ["BACKPLANE_CHECKS", "check_backplane", "run_backplane_check"]

MakeBackplane: TypeAlias = Callable[[], Backplane]

_TIMEOUT: Final = 20.0  # seconds for one check
_ARRIVAL: Final = 5.0  # seconds until a message counts as lost
_HOSTILE: Final = ["*", ">", "a.b", "{a}b", "a b", "'; --", "%s", "\u00e4", "A", "a", "a ", "\u2603" * 300]


class Node:
    """An open backplane, as one process has it, and what it has received."""

    def __init__(self, plane: Backplane) -> None:
        self.plane = plane
        self.received: list[tuple[str, bytes]] = []
        self._arrived = asyncio.Event()

    def receive(self, key: str, message: bytes) -> None:
        self.received.append((key, message))
        self._arrived.set()

    async def until(self, key: str, message: bytes) -> list[tuple[str, bytes]]:
        """Return what has come once this has; Broken when it does not."""
        try:
            async with asyncio.timeout(_ARRIVAL):
                while (key, message) not in self.received:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            expect("what is published to a subscribed key is received", self.received[-5:], [(key, message)])
        return self.received


class Site:
    """Where a check works: nodes on the same server, and keys no one has used before."""

    def __init__(self, make_backplane: MakeBackplane) -> None:
        self._make_backplane = make_backplane
        self._token = secrets.token_hex(4)

    def key(self, name: str = "key") -> str:
        return f"{self._token} {name}"

    @asynccontextmanager
    async def node(self) -> AsyncIterator[Node]:
        node = Node(self._make_backplane())
        await node.plane.open(node.receive, lambda: None)
        try:
            yield node
        finally:
            await node.plane.close()


def expect(promise: str, got: object, expected: object) -> None:
    if got != expected:
        raise Broken(f"promised:\n    {promise}\nexpected:\n    {expected!r}\ncame back:\n    {got!r}")


Body: TypeAlias = Callable[[Site], Awaitable[None]]
BACKPLANE_CHECKS: Final[dict[str, tuple[str, Body]]] = {}
"""Id to the behaviour in one line, and what checks it."""


def backplane_check(id: str, title: str) -> Callable[[Body], Body]:
    def register(body: Body) -> Body:
        BACKPLANE_CHECKS[id] = title, body
        return body

    return register


async def check_backplane(make_backplane: MakeBackplane, *, name: str | None = None) -> Report:
    """Check a backplane, on the running event loop.

    Args:
        make_backplane: gives a new backplane each time it is called, all of them on the same server and prefix. Each
            is opened and closed by the kit.
        name: how the report calls it; by default the function's own name.
    """
    results = [await run_backplane_check(id, make_backplane) for id in BACKPLANE_CHECKS]
    kit = metadata.version("notistore")
    about = About(name or name_of(make_backplane), "backplane", CONTRACT, kit, None, None, 0)
    return Report(about, results, len(BACKPLANE_CHECKS))


async def run_backplane_check(id: str, make_backplane: MakeBackplane) -> Result:
    """Run one check and return its result: for a pytest parametrized over BACKPLANE_CHECKS."""
    title, body = BACKPLANE_CHECKS[id]
    started = time.perf_counter()
    outcome, message = Outcome.PASSED, ""
    try:
        async with asyncio.timeout(_TIMEOUT):
            await body(Site(make_backplane))
    except Broken as broken:
        outcome, message = Outcome.FAILED, f"{id}: {title}\n{broken}"
    except Exception as error:
        outcome, message = Outcome.FAILED, f"{id}: {title}\nraised:\n    {type(error).__name__}: {error}"
    return Result(id, title, ("notistore.backplane.Backplane",), outcome, message, time.perf_counter() - started)


def _numbers(key: str, count: int) -> Sequence[tuple[str, bytes]]:
    return [(key, str(n).encode()) for n in range(count)]


@backplane_check("backplane/delivers", "What one process publishes every subscribed one receives, once and in order")
async def delivers(site: Site) -> None:
    key, sent = site.key(), _numbers(site.key(), 100)
    async with site.node() as sender, site.node() as one, site.node() as two:
        for node in (one, two, sender):
            await node.plane.subscribe([key])
        for start in range(0, 100, 10):
            await sender.plane.publish(sent[start : start + 10])
        for node in (one, two, sender):
            received = await node.until(*sent[-1])
            expect("in order per key and publisher, each once", received, list(sent))


@backplane_check("backplane/at-once", "Once subscribe has returned nothing is missed")
async def at_once(site: Site) -> None:
    async with site.node() as sender, site.node() as listener:
        for n in range(30):
            key = site.key(str(n))
            await listener.plane.subscribe([key])
            await sender.plane.publish([(key, b"now")])
            await listener.until(key, b"now")


@backplane_check("backplane/keys", "Keys are any text, compared exactly, and reach no other key's listeners")
async def keys(site: Site) -> None:
    named = [site.key(name) for name in _HOSTILE]
    async with site.node() as sender, site.node() as even, site.node() as odd:
        await even.plane.subscribe(named[::2])
        await odd.plane.subscribe(named[1::2])
        sent = [(key, str(n).encode()) for n, key in enumerate(named)]
        await sender.plane.publish(sent)
        for node, own in ((even, sent[::2]), (odd, sent[1::2])):
            for pair in own:
                await node.until(*pair)
            foreign = [key for key, _ in node.received if key in set(named) - {key for key, _ in own}]
            expect("only subscribed keys are received", foreign, [])


@backplane_check("backplane/bytes", "Messages are any bytes, none and a few hundred KiB too")
async def any_bytes(site: Site) -> None:
    key = site.key()
    async with site.node() as sender, site.node() as listener:
        await listener.plane.subscribe([key])
        for message in (b"", b"\x00", bytes(range(256)), b"\r\n\n", b"x" * 300_000):
            await sender.plane.publish([(key, message)])
            await listener.until(key, message)


@backplane_check("backplane/unsubscribe", "After unsubscribing a key others still come, and it can be had again")
async def unsubscribe(site: Site) -> None:
    left, kept = site.key("left"), site.key("kept")
    async with site.node() as sender, site.node() as listener:
        await listener.plane.subscribe([left, kept])
        await listener.plane.unsubscribe([left])
        await sender.plane.publish([(left, b"unwanted"), (kept, b"wanted")])
        await listener.until(kept, b"wanted")
        await listener.plane.subscribe([left])
        await sender.plane.publish([(left, b"again")])
        await listener.until(left, b"again")


@backplane_check("backplane/closes", "Closing ends every task it has begun, and it can be opened anew")
async def closes(site: Site) -> None:
    before = asyncio.all_tasks()
    node = Node(site._make_backplane())
    for n in range(2):
        await node.plane.open(node.receive, lambda: None)
        await node.plane.subscribe([site.key()])
        await node.plane.publish([(site.key(), str(n).encode())])
        await node.until(site.key(), str(n).encode())
        await node.plane.close()
        expect("no task is left", [task.get_name() for task in asyncio.all_tasks() - before], [])
