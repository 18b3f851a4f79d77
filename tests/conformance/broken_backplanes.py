"""A whole backplane in memory, and ones that break one promise each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from notistore.backplane import Missed, Receive, end, keep_connected
from notistore_conformance import BackplaneSubject


class Bus:
    """What backplanes of one process share in place of a server."""

    def __init__(self) -> None:
        self.up = True
        self.nodes: list[MemoryBackplane] = []
        self.retained: dict[str, bytes] = {}
        self.subscribing = 0

    @contextmanager
    def outage(self) -> Iterator[None]:
        self.up = False
        for node in list(self.nodes):
            node.lost.set()
        try:
            yield
        finally:
            self.up = True


class MemoryBackplane:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def open(self, receive: Receive, missed: Missed) -> None:
        self.receive, self.missed = receive, missed
        self.keys: set[str] = set()
        self.dead = False
        self.lost = asyncio.Event()
        self.tried = asyncio.Event()
        self.task = asyncio.create_task(keep_connected(self.session, "memory"))
        await self.tried.wait()

    async def session(self, up: Callable[[], None]) -> None:
        try:
            if not self.bus.up:
                raise ConnectionError("the bus is away")
            self.lost.clear()
            self.dead = False
            again = bool(self.keys)
            self.bus.nodes.append(self)
            up()
            self.tried.set()
            if again:
                self.missed()
            await self.watch()
        finally:
            self.tried.set()
            if self in self.bus.nodes:
                self.bus.nodes.remove(self)

    async def watch(self) -> None:
        while not self.lost.is_set() and not self.dead:
            try:
                async with asyncio.timeout(0.02):  # as often as it looks whether its connection is alive
                    await self.lost.wait()
            except TimeoutError:
                continue

    def die(self) -> None:
        self.dead = True

    async def subscribe(self, keys: Collection[str]) -> None:
        self.keys |= set(keys)
        self.connected()

    async def unsubscribe(self, keys: Collection[str]) -> None:
        self.keys -= set(keys)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self.connected()
        for key, message in messages:
            for node in list(self.bus.nodes):
                if not self.dead and not node.dead and node.wants(key):
                    node.receive(key, message)

    def wants(self, key: str) -> bool:
        return key in self.keys

    def connected(self) -> None:
        if self not in self.bus.nodes or not self.bus.up:
            raise ConnectionError("the bus is away")

    async def close(self) -> None:
        await end(self.task)


class DeliversTwiceToThree(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        await super().publish(messages)
        await super().publish([pair for pair in messages if sum(node.wants(pair[0]) for node in self.bus.nodes) > 2])


class LastFirst(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        await super().publish(messages[::-1])


class FoldsKeys(MemoryBackplane):
    def wants(self, key: str) -> bool:
        return key.lower() in {own.lower() for own in self.keys}


class LimitsMessages(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        await super().publish([(key, message[:8000]) for key, message in messages])


class RetainsTheLast(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self.bus.retained.update(messages)
        await super().publish(messages)

    async def subscribe(self, keys: Collection[str]) -> None:
        await super().subscribe(keys)
        for key in keys:
            if key in self.bus.retained:
                self.receive(key, self.bus.retained[key])


class SubscribesAnewToUnsubscribe(MemoryBackplane):
    async def unsubscribe(self, keys: Collection[str]) -> None:
        kept, self.keys = self.keys - set(keys), set()
        for _ in range(20):  # turns of the event loop, in which others publish
            await asyncio.sleep(0)
        self.keys = kept


class LosesEachTenthSubscribe(MemoryBackplane):
    calls = 0

    async def subscribe(self, keys: Collection[str]) -> None:
        self.calls += 1
        if self.calls % 10:
            await super().subscribe(keys)


class LosesARaceOfSubscribes(MemoryBackplane):
    async def subscribe(self, keys: Collection[str]) -> None:
        self.bus.subscribing += 1
        try:
            await asyncio.sleep(0.01)
            if self.bus.subscribing == 1:
                await super().subscribe(keys)
        finally:
            self.bus.subscribing -= 1


class TakesSoManyKeys(MemoryBackplane):
    async def subscribe(self, keys: Collection[str]) -> None:
        await super().subscribe(list(keys)[:256])


class UnsubscribesForGood(MemoryBackplane):
    gone: frozenset[str] = frozenset()

    async def unsubscribe(self, keys: Collection[str]) -> None:
        await super().unsubscribe(keys)
        self.gone |= frozenset(keys)

    def wants(self, key: str) -> bool:
        return super().wants(key) and key not in self.gone


class LeavesATask(MemoryBackplane):
    async def open(self, receive: Receive, missed: Missed) -> None:
        self.idle = asyncio.create_task(asyncio.Event().wait())
        await super().open(receive, missed)


class HearsWhenClosed(MemoryBackplane):
    async def close(self) -> None:
        await super().close()
        self.bus.nodes.append(self)


class OpensOnce(MemoryBackplane):
    closed = False

    def wants(self, key: str) -> bool:
        return not self.closed and super().wants(key)

    async def close(self) -> None:
        await super().close()
        self.closed = True


class LosesSilently(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        if self.bus.up:
            await super().publish(messages)


class TellsOfOneGap(MemoryBackplane):
    told = 0

    async def open(self, receive: Receive, missed: Missed) -> None:
        def once() -> None:
            self.told += 1
            if self.told == 1:
                missed()

        await super().open(receive, once)


class ReturnsWithoutItsKeys(MemoryBackplane):
    returned = False

    async def session(self, up: Callable[[], None]) -> None:
        self.returned = bool(self.keys)
        await super().session(up)

    def wants(self, key: str) -> bool:
        return not self.returned and super().wants(key)


class ForgetsWhatFailed(MemoryBackplane):
    async def subscribe(self, keys: Collection[str]) -> None:
        before = set(self.keys)
        try:
            await super().subscribe(keys)
        except ConnectionError:
            self.keys = before or self.keys
            raise


class OpensWhenConnected(MemoryBackplane):
    async def open(self, receive: Receive, missed: Missed) -> None:
        await super().open(receive, missed)
        while self not in self.bus.nodes:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class NeverLooks(MemoryBackplane):
    async def watch(self) -> None:
        await self.lost.wait()


BROKEN: dict[type[MemoryBackplane], str] = {
    DeliversTwiceToThree: "backplane/once",
    LastFirst: "backplane/order",
    FoldsKeys: "backplane/keys",
    LimitsMessages: "backplane/bytes",
    RetainsTheLast: "backplane/unkept",
    SubscribesAnewToUnsubscribe: "backplane/steady",
    LosesEachTenthSubscribe: "backplane/at-once",
    LosesARaceOfSubscribes: "backplane/first-subscribes",
    TakesSoManyKeys: "backplane/many-keys",
    UnsubscribesForGood: "backplane/unsubscribe",
    LeavesATask: "backplane/closes",
    HearsWhenClosed: "backplane/closes",
    OpensOnce: "backplane/reopens",
    LosesSilently: "backplane/publish-raises",
    TellsOfOneGap: "backplane/reconnects",
    ForgetsWhatFailed: "backplane/subscribes-later",
    OpensWhenConnected: "backplane/opens-without-server",
    NeverLooks: "backplane/half-open",
}
"""Each is caught by this check and by no other."""

CAUGHT_BY_MORE: dict[type[MemoryBackplane], str] = {ReturnsWithoutItsKeys: "backplane/reconnects"}


def factory(kind: type[MemoryBackplane]) -> Callable[[], BackplaneSubject]:
    """Gives backplanes of this kind on a bus of their own."""
    bus = Bus()

    def make_backplane() -> BackplaneSubject:
        plane = kind(bus)
        return BackplaneSubject(plane, outage=bus.outage, half_open=plane.die, backend="memory")

    return make_backplane
