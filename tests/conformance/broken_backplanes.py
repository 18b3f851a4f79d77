"""A correct backplane in memory, and variants that each break one promise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from notistore.hub.backplane import Missed, Receive, cancel, keep_connected
from notistore_conformance import BackplaneImplementation


class InProcessServer:
    """Stands in for the server: shared by the backplanes of one process."""

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
    def __init__(self, server: InProcessServer) -> None:
        self.server = server

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
            if not self.server.up:
                raise ConnectionError("the server is away")
            self.lost.clear()
            self.dead = False
            again = bool(self.keys)
            self.server.nodes.append(self)
            up()
            self.tried.set()
            if again:
                self.missed()
            await self.watch()
        finally:
            self.tried.set()
            if self in self.server.nodes:
                self.server.nodes.remove(self)

    async def watch(self) -> None:
        while not self.lost.is_set() and not self.dead:
            try:
                async with asyncio.timeout(0.02):  # the interval at which it checks its connection
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
            for node in list(self.server.nodes):
                if not self.dead and not node.dead and node.wants(key):
                    node.receive(key, message)

    def wants(self, key: str) -> bool:
        return key in self.keys

    def connected(self) -> None:
        if self not in self.server.nodes or not self.server.up:
            raise ConnectionError("the server is away")

    async def close(self) -> None:
        await cancel(self.task)


class DeliversTwiceToThree(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        await super().publish(messages)
        await super().publish([pair for pair in messages if sum(node.wants(pair[0]) for node in self.server.nodes) > 2])


class ReversesShortCalls(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        await super().publish(messages[::-1] if len(messages) < 30 else messages)


class FoldsKeys(MemoryBackplane):
    def wants(self, key: str) -> bool:
        return key in self.keys or key.lower() in {own.lower() for own in self.keys}


class LimitsCalls(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        await super().publish(messages[:5000])


class LimitsMessages(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        await super().publish([(key, message[:200_000]) for key, message in messages])


class RetainsWhatNobodyReceived(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        wanted = {key for key, _ in messages if any(node.wants(key) for node in self.server.nodes)}
        self.server.retained.update(pair for pair in messages if pair[0] not in wanted)
        await super().publish(messages)

    async def subscribe(self, keys: Collection[str]) -> None:
        await super().subscribe(keys)
        for key in keys:
            if key in self.server.retained:
                self.receive(key, self.server.retained[key])


class ResubscribesToUnsubscribe(MemoryBackplane):
    async def unsubscribe(self, keys: Collection[str]) -> None:
        kept, self.keys = self.keys - set(keys), set()
        for _ in range(20):  # iterations of the event loop, in which others publish
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
        self.server.subscribing += 1
        try:
            await asyncio.sleep(0.01)
            if self.server.subscribing == 1:
                await super().subscribe(keys)
        finally:
            self.server.subscribing -= 1


class TakesSoManyKeys(MemoryBackplane):
    async def subscribe(self, keys: Collection[str]) -> None:
        await super().subscribe(list(keys)[:1000])


class SecondUnsubscribeIsPermanent(MemoryBackplane):
    once: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()

    async def unsubscribe(self, keys: Collection[str]) -> None:
        await super().unsubscribe(keys)
        self.gone |= self.once & frozenset(keys)
        self.once |= frozenset(keys)

    def wants(self, key: str) -> bool:
        return super().wants(key) and key not in self.gone


class ClosesBeforeItHasSent(MemoryBackplane):
    closed = False

    async def open(self, receive: Receive, missed: Missed) -> None:
        self.closed = False
        await super().open(receive, missed)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self.connected()
        nodes = [node for node in self.server.nodes if not self.dead and not node.dead]
        calls = [(node, *pair) for pair in messages for node in nodes if node.wants(pair[0])]
        asyncio.get_running_loop().call_soon(self.send, calls)

    def send(self, calls: Sequence[tuple[MemoryBackplane, str, bytes]]) -> None:
        for node, key, message in calls:
            if not self.closed:
                node.receive(key, message)

    async def close(self) -> None:
        self.closed = True
        await super().close()


class LeavesATask(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        await super().publish(messages)
        self.idle = asyncio.create_task(asyncio.Event().wait())


class LeavesATaskOfAnOutage(MemoryBackplane):
    async def close(self) -> None:
        if self in self.server.nodes:
            await super().close()


class ReceivesWhenClosed(MemoryBackplane):
    async def open(self, receive: Receive, missed: Missed) -> None:
        if self in self.server.nodes:
            self.server.nodes.remove(self)
        await super().open(receive, missed)

    async def close(self) -> None:
        await super().close()
        self.server.nodes.append(self)


class OpensOnce(MemoryBackplane):
    closed = False

    def wants(self, key: str) -> bool:
        return not self.closed and super().wants(key)

    async def close(self) -> None:
        await super().close()
        self.closed = True


class LosesSilently(MemoryBackplane):
    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        if self.server.up:
            await super().publish(messages)


class ReportsOneGap(MemoryBackplane):
    gaps = 0

    async def open(self, receive: Receive, missed: Missed) -> None:
        def once() -> None:
            self.gaps += 1
            if self.gaps == 1:
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
        while self not in self.server.nodes:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class ConnectsWhenOpenedOnly(MemoryBackplane):
    connected_once = False

    async def session(self, up: Callable[[], None]) -> None:
        if not self.server.up and not self.connected_once:
            self.tried.set()
            await asyncio.Event().wait()
        self.connected_once = True
        await super().session(up)


class NeverChecksItsConnection(MemoryBackplane):
    async def watch(self) -> None:
        await self.lost.wait()


BROKEN: dict[type[MemoryBackplane], str] = {
    DeliversTwiceToThree: "backplane/once",
    ReversesShortCalls: "backplane/order",
    FoldsKeys: "backplane/keys",
    LimitsCalls: "backplane/flood",
    LimitsMessages: "backplane/bytes",
    RetainsWhatNobodyReceived: "backplane/unkept",
    ResubscribesToUnsubscribe: "backplane/steady",
    LosesEachTenthSubscribe: "backplane/at-once",
    LosesARaceOfSubscribes: "backplane/first-subscribes",
    TakesSoManyKeys: "backplane/many-keys",
    SecondUnsubscribeIsPermanent: "backplane/unsubscribe",
    ClosesBeforeItHasSent: "backplane/publishes-last",
    LeavesATask: "backplane/closes",
    LeavesATaskOfAnOutage: "backplane/closes-cut-off",
    ReceivesWhenClosed: "backplane/closes",
    OpensOnce: "backplane/reopens",
    LosesSilently: "backplane/publish-raises",
    ReportsOneGap: "backplane/reconnects",
    ForgetsWhatFailed: "backplane/subscribes-later",
    ConnectsWhenOpenedOnly: "backplane/opens-without-server",
    NeverChecksItsConnection: "backplane/half-open",
}
"""Each is caught by this check and by no other."""

CAUGHT_BY_MORE: dict[type[MemoryBackplane], str] = {
    ReturnsWithoutItsKeys: "backplane/reconnects",
    OpensWhenConnected: "backplane/opens-without-server",
}


def factory(kind: type[MemoryBackplane]) -> Callable[[], BackplaneImplementation]:
    """A factory of backplanes of this kind, which share a server of their own."""
    server = InProcessServer()

    def make_backplane() -> BackplaneImplementation:
        plane = kind(server)
        return BackplaneImplementation(plane, outage=server.outage, half_open=plane.die, backend="memory")

    return make_backplane
