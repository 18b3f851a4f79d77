"""Backplanes with the faults that real ones have, written from the protocol's docstrings and docs/backplanes.md alone.

`broken_backplanes.py` shows that each check catches something; these show how much the kit lets pass.
"""

from __future__ import annotations

import asyncio
import fnmatch
import hashlib
import re
import threading
import unicodedata
from collections.abc import Callable, Collection, Sequence
from functools import cache

from notistore.hub.backplane import Missed, Receive, cancel

from .broken_backplanes import LeavesATaskOfAnOutage, MemoryBackplane

Message = tuple[str, bytes]


# Keys


class Channels(MemoryBackplane):
    """Keys are mapped to channel names, and not compared on receipt, so keys with the same name share messages."""

    def name(self, key: str) -> str:
        return key

    def wants(self, key: str) -> bool:
        return key in self.keys or self.name(key) in {self.name(own) for own in self.keys}


class CutsAt63(Channels):
    """Like PostgreSQL's identifiers, which are truncated to 63 bytes."""

    def name(self, key: str) -> str:
        return f"notistore_{key}".encode()[:63].decode(errors="ignore")


class CutsAt255(Channels):
    def name(self, key: str) -> str:
        return key[:255]


class CutsBytesAt1000(Channels):
    """Truncates to a thousand bytes, which is only a few hundred characters of some scripts."""

    def name(self, key: str) -> str:
        return key.encode()[:1000].decode(errors="ignore")


class KeepsTheEnd(Channels):
    def name(self, key: str) -> str:
        return key[-100:]


class FoldsSharpS(Channels):
    def name(self, key: str) -> str:
        return key if key.isascii() else key.casefold()


class Composes(Channels):
    def name(self, key: str) -> str:
        return unicodedata.normalize("NFC", key)


class ComposesCompatibly(Channels):
    def name(self, key: str) -> str:
        return unicodedata.normalize("NFKC", key)


class Strips(Channels):
    def name(self, key: str) -> str:
        return key.strip()


class AsciiOnly(Channels):
    def name(self, key: str) -> str:
        return key.encode("ascii", "replace").decode()


class JoinsSeparators(Channels):
    def name(self, key: str) -> str:
        return re.sub(r"[.:/_ ]", "_", key)


class DropsPunctuation(Channels):
    def name(self, key: str) -> str:
        return re.sub(r"[^\w ]", "", key)


class UnescapesPercents(Channels):
    def name(self, key: str) -> str:
        from urllib.parse import unquote

        return unquote(key)


class ReadsNumbers(Channels):
    def name(self, key: str) -> str:
        return re.sub(r"(?<!\d)0+(?=\d)", "", key)


@cache
def channel(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:3]


class TwelveBits(Channels):
    """Keys share channels by a hash, and every message of a channel is passed on, whatever its key."""

    def name(self, key: str) -> str:
        return channel(key)


class LikePatterns(MemoryBackplane):
    def wants(self, key: str) -> bool:
        return any(
            re.fullmatch(re.escape(own).replace("%", ".*").replace("_", "."), key, re.DOTALL) for own in self.keys
        )


class Globs(MemoryBackplane):
    def wants(self, key: str) -> bool:
        return key in self.keys or any(fnmatch.fnmatchcase(key, own) for own in self.keys)


class Prefixes(MemoryBackplane):
    """A subscriber of "a" also receives the messages of "a:b"."""

    def wants(self, key: str) -> bool:
        return key in self.keys or any(key.startswith(f"{own}:") for own in self.keys)


# What is carried


class Queued(MemoryBackplane):
    """Each node has a queue of received messages."""

    room = 10**9
    rate = 200

    async def open(self, receive: Receive, missed: Missed) -> None:
        self.waiting: list[Message] = []
        self.came = asyncio.Event()
        await super().open(self.queue, missed)
        self.give = receive
        self.delivering = asyncio.create_task(self.deliver())

    def queue(self, key: str, message: bytes) -> None:
        if len(self.waiting) < self.room:
            self.waiting.append((key, message))
            self.came.set()

    async def deliver(self) -> None:
        while True:
            await self.came.wait()
            self.came.clear()
            while self.waiting:
                now, self.waiting = self.waiting[: self.rate], self.waiting[self.rate :]
                for message in now:
                    self.give(*message)
                await asyncio.sleep(0)

    async def close(self) -> None:
        await super().close()
        await cancel(self.delivering)


class DropsPast1000(Queued):
    room = 1000


class DropsPast4000(Queued):
    room = 4000


class DropsTheOldest(Queued):
    room = 2000

    def queue(self, key: str, message: bytes) -> None:
        self.waiting = self.waiting[-self.room :]
        self.waiting.append((key, message))
        self.came.set()


class LargeOnesLater(Queued):
    """Long messages are sent in parts, which arrive after later messages."""

    def queue(self, key: str, message: bytes) -> None:
        if len(message) > 8000:
            asyncio.get_running_loop().call_later(0.01, super().queue, key, message)
        else:
            super().queue(key, message)


class LargeOnesWithABreak(Queued):
    """Very long messages are delayed until the node is idle."""

    def queue(self, key: str, message: bytes) -> None:
        if len(message) > 100_000:
            asyncio.get_running_loop().call_soon(super().queue, key, message)
        else:
            super().queue(key, message)


class MixesParts(MemoryBackplane):
    """Parts of long messages are joined by key: those of two concurrent senders are mixed."""

    async def publish(self, messages: Sequence[Message]) -> None:
        self.connected()
        for key, message in messages:
            if len(message) <= 8000:
                await super().publish([(key, message)])
                continue
            parts: dict[str, list[bytes]] = self.server.__dict__.setdefault("parts", {})
            for start in range(0, len(message), 8000):
                parts.setdefault(key, []).append(message[start : start + 8000])
                await asyncio.sleep(0)
            joined = b"".join(parts.pop(key, []))
            await super().publish([(key, joined)])


class NoMoreThan64K(MemoryBackplane):
    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish([pair for pair in messages if len(pair[1]) < 65536])


class NoMoreThan256K(MemoryBackplane):
    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish([pair for pair in messages if len(pair[1]) < 2**18])


class LosesTheEmptyPart(MemoryBackplane):
    """A message that fills its parts exactly is never delivered: one more part is expected."""

    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish([pair for pair in messages if not pair[1] or len(pair[1]) % 4000])


class LargeCallsAreCut(MemoryBackplane):
    """A call sends at most a megabyte and drops the rest."""

    async def publish(self, messages: Sequence[Message]) -> None:
        room, kept = 2**20, []
        for key, message in messages:
            room -= len(message)
            if room >= 0:
                kept.append((key, message))
        await super().publish(kept)


class TakesAHundred(MemoryBackplane):
    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish(messages[:100])


class TakesAThousand(MemoryBackplane):
    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish(messages[:999])


class JoinsByKey(MemoryBackplane):
    """Of several messages to one key in a call only the last is sent."""

    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish(list(dict(messages).items()))


class LeavesOutRepeats(MemoryBackplane):
    """A message equal to the previous one is dropped as a duplicate."""

    last: Message | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        for pair in messages:
            if pair != self.last:
                await super().publish([pair])
            self.last = pair


class LeavesOutRepeatsInACall(MemoryBackplane):
    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish(list(dict.fromkeys(messages)))


class StripsText(MemoryBackplane):
    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish([(key, message.rstrip(b"\0 ")) for key, message in messages])


class IsText(MemoryBackplane):
    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish([(key, message.decode(errors="replace").encode()) for key, message in messages])


class GivesBytearrays(MemoryBackplane):
    async def open(self, receive: Receive, missed: Missed) -> None:
        await super().open(lambda key, message: receive(key, bytearray(message)), missed)  # type: ignore[arg-type]


class NotToItself(MemoryBackplane):
    async def publish(self, messages: Sequence[Message]) -> None:
        kept, self.keys = self.keys, set()
        try:
            await super().publish(messages)
        finally:
            self.keys = kept


class ToOneOfThem(MemoryBackplane):
    """Like a work queue: each message is delivered to one node only."""

    async def publish(self, messages: Sequence[Message]) -> None:
        self.connected()
        for key, message in messages:
            wanting = [node for node in self.server.nodes if node.wants(key)]
            if wanting:
                wanting[hash(message) % len(wanting)].receive(key, message)


class ToEightOfThem(MemoryBackplane):
    async def publish(self, messages: Sequence[Message]) -> None:
        self.connected()
        for key, message in messages:
            for node in [node for node in self.server.nodes if node.wants(key)][:8]:
                node.receive(key, message)


class SendsLater(MemoryBackplane):
    """`publish` returns once messages are queued; closing loses the queue."""

    async def open(self, receive: Receive, missed: Missed) -> None:
        await super().open(receive, missed)
        self.outbox: asyncio.Queue[Sequence[Message]] = asyncio.Queue()
        self.sending = asyncio.create_task(self.send())

    async def send(self) -> None:
        while True:
            messages = await self.outbox.get()
            await asyncio.sleep(0.001)
            try:
                await super().publish(messages)
            except ConnectionError:
                continue

    async def publish(self, messages: Sequence[Message]) -> None:
        self.connected()
        self.outbox.put_nowait(list(messages))

    async def close(self) -> None:
        await super().close()
        await cancel(self.sending)


class SplitsCalls(MemoryBackplane):
    """Large calls are sent in concurrent tasks, which overtake each other."""

    async def publish(self, messages: Sequence[Message]) -> None:
        self.connected()
        first, rest = messages[:50], messages[50:]
        if rest:
            await super().publish(rest)
        await super().publish(first)


class ByKeyInACall(MemoryBackplane):
    """Sorts a call's messages by key, to send those of a key together."""

    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish(sorted(messages))


class WaitsForTheSlowest(MemoryBackplane):
    """A node that disappeared without closing blocks every publisher."""

    async def publish(self, messages: Sequence[Message]) -> None:
        while any(node.dead for node in self.server.nodes if node is not self):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await super().publish(messages)

    async def watch(self) -> None:
        while not self.lost.is_set():
            try:
                async with asyncio.timeout(0.02):
                    await self.lost.wait()
            except TimeoutError:
                if self.dead:
                    await asyncio.sleep(5)  # as long as a server waits for one that takes nothing
                    return


class GivesInAThread(MemoryBackplane):
    """Messages are received on a thread of the client's."""

    async def open(self, receive: Receive, missed: Missed) -> None:
        def call(key: str, message: bytes) -> None:
            thread = threading.Thread(target=receive, args=(key, message))
            thread.start()
            thread.join()

        await super().open(call, missed)


class StopsAtNothing(MemoryBackplane):
    """`publish` without messages raises."""

    async def publish(self, messages: Sequence[Message]) -> None:
        if not messages:
            raise ValueError("nothing to publish")
        await super().publish(messages)


# Subscribing


class SubscribesTwice(MemoryBackplane):
    """A key that is subscribed twice receives each message twice."""

    async def open(self, receive: Receive, missed: Missed) -> None:
        self.times: dict[str, int] = {}
        await super().open(self.twice, missed)
        self.give = receive

    def twice(self, key: str, message: bytes) -> None:
        for _ in range(self.times.get(key, 1)):
            self.give(key, message)

    async def subscribe(self, keys: Collection[str]) -> None:
        await super().subscribe(keys)
        for key in keys:
            self.times[key] = self.times.get(key, 0) + 1

    async def unsubscribe(self, keys: Collection[str]) -> None:
        await super().unsubscribe(keys)
        for key in keys:
            self.times.pop(key, None)


class HearsTwiceAfterwards(SubscribesTwice):
    """A key that was unsubscribed and subscribed again receives each message twice."""

    async def unsubscribe(self, keys: Collection[str]) -> None:
        await MemoryBackplane.unsubscribe(self, keys)


class ReplacesKeys(MemoryBackplane):
    """A subscribe of many keys replaces the earlier subscriptions."""

    async def subscribe(self, keys: Collection[str]) -> None:
        if len(keys) > 1:
            self.keys = set()
        await super().subscribe(keys)


class TakesAThousandKeys(MemoryBackplane):
    async def subscribe(self, keys: Collection[str]) -> None:
        await super().subscribe(list(keys)[:999])


class HoldsTwoThousandKeys(MemoryBackplane):
    async def subscribe(self, keys: Collection[str]) -> None:
        await super().subscribe(keys)
        for key in list(self.keys)[2000:]:
            self.keys.discard(key)


class TakesListsAlone(MemoryBackplane):
    async def subscribe(self, keys: Collection[str]) -> None:
        await super().subscribe(keys[:])  # type: ignore[index]


class UnsubscribesAnothers(MemoryBackplane):
    """Unsubscribing a key unsubscribes it on every node."""

    async def unsubscribe(self, keys: Collection[str]) -> None:
        for node in self.server.nodes:
            node.keys -= set(keys)


class UnsubscribesThoseBelow(MemoryBackplane):
    """Unsubscribing "a" also unsubscribes "a:b"."""

    async def unsubscribe(self, keys: Collection[str]) -> None:
        await super().unsubscribe([own for own in self.keys if any(own.startswith(key) for key in keys)])


class UnsubscribesLater(MemoryBackplane):
    """An unsubscribe takes effect late and undoes a subscribe that follows at once."""

    async def unsubscribe(self, keys: Collection[str]) -> None:
        asyncio.get_running_loop().call_later(0.02, self.keys.difference_update, list(keys))


class UnsubscribesAll(MemoryBackplane):
    """Unsubscribing no keys unsubscribes all, as in Redis."""

    async def unsubscribe(self, keys: Collection[str]) -> None:
        if keys:
            await super().unsubscribe(keys)
        else:
            self.keys = set()


class SubscribesSoon(MemoryBackplane):
    """`subscribe` returns before the server has processed it."""

    async def subscribe(self, keys: Collection[str]) -> None:
        self.connected()
        loop = asyncio.get_running_loop()
        loop.call_later(0.002, self.keys.update, list(keys))


class SubscribesTheLastSoon(MemoryBackplane):
    """Large calls are split, and the last part is not awaited."""

    async def subscribe(self, keys: Collection[str]) -> None:
        named = list(keys)
        await super().subscribe(named[:300])
        asyncio.get_running_loop().call_later(0.01, self.keys.update, named[300:])


class OneAtATime(MemoryBackplane):
    """One connection for both: a publish while a subscribe is under way raises."""

    busy = False

    async def subscribe(self, keys: Collection[str]) -> None:
        self.busy = True
        await asyncio.sleep(0)
        self.busy = False
        await super().subscribe(keys)

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.busy:
            raise ConnectionError("another operation is in progress")
        await super().publish(messages)


class ReplaysTheLastTen(MemoryBackplane):
    """Like a log that is read from a slightly earlier position."""

    async def publish(self, messages: Sequence[Message]) -> None:
        log: list[Message] = self.server.__dict__.setdefault("log", [])
        log += messages
        del log[:-10]
        await super().publish(messages)

    async def subscribe(self, keys: Collection[str]) -> None:
        new = set(keys) - self.keys
        await super().subscribe(keys)
        for key, message in self.server.__dict__.get("log", []):
            if key in new:
                asyncio.get_running_loop().call_later(0.05, self.receive, key, message)


# Closing


class StaysSubscribed(MemoryBackplane):
    """Opened again, it still has its earlier subscriptions."""

    before: frozenset[str] = frozenset()

    async def open(self, receive: Receive, missed: Missed) -> None:
        await super().open(receive, missed)
        self.keys |= self.before

    async def close(self) -> None:
        self.before = frozenset(self.keys)
        await super().close()


class KeepsTheFirstReceiver(MemoryBackplane):
    """Opened again, it still calls the first `receive`."""

    first: Receive | None = None

    async def open(self, receive: Receive, missed: Missed) -> None:
        self.first = self.first or receive
        await super().open(self.first, missed)


class LeavesAThread(MemoryBackplane):
    async def open(self, receive: Receive, missed: Missed) -> None:
        self.over = threading.Event()
        threading.Thread(target=self.over.wait, args=(120,), daemon=True).start()
        await super().open(receive, missed)


class LeavesATimer(MemoryBackplane):
    """A timer goes on after it has closed."""

    async def open(self, receive: Receive, missed: Missed) -> None:
        await super().open(receive, missed)
        self.again(receive)

    def again(self, receive: Receive) -> None:
        self.timer = asyncio.get_running_loop().call_later(0.05, self.again, receive)


class GivesAfterClosing(MemoryBackplane):
    """Messages under way are delivered shortly after it has closed."""

    async def open(self, receive: Receive, missed: Missed) -> None:
        loop = asyncio.get_running_loop()
        await super().open(lambda key, message: loop.call_later(0.05, receive, key, message) and None, missed)


class ClosesWhenConnected(MemoryBackplane):
    """Closing waits until there is a connection."""

    async def close(self) -> None:
        while not self.server.up:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await super().close()


# Outages


class HearsTwiceAfterAnOutage(MemoryBackplane):
    """After an outage, keys are subscribed again in addition to the old subscription."""

    sessions = 0

    async def session(self, up: Callable[[], None]) -> None:
        self.sessions += self.server.up
        await super().session(up)

    async def open(self, receive: Receive, missed: Missed) -> None:
        def call(key: str, message: bytes) -> None:
            for _ in range(min(self.sessions, 2)):
                receive(key, message)

        await super().open(call, missed)


class MissedTooEarly(MemoryBackplane):
    """Calls `missed` before it has subscribed again."""

    async def session(self, up: Callable[[], None]) -> None:
        kept, self.keys = self.keys, set()
        if kept:
            self.missed_first = True
            if self.server.up:
                self.missed()
                asyncio.get_running_loop().call_later(0.3, self.keys.update, kept)
            else:
                self.keys = kept
        await super().session(up)


class GivesUp(MemoryBackplane):
    """Gives up after four attempts to reconnect."""

    tries = 0

    async def session(self, up: Callable[[], None]) -> None:
        self.tries = 0 if self.server.up and self.tries < 5 else self.tries + 1
        if self.tries > 4:
            self.tried.set()
            await asyncio.Event().wait()
        await super().session(up)


class ReturnsOnce(MemoryBackplane):
    """It does not reconnect after a second outage."""

    sessions = 0

    async def session(self, up: Callable[[], None]) -> None:
        self.sessions += self.server.up
        if self.sessions > 2:
            self.tried.set()
            await asyncio.Event().wait()
        await super().session(up)


class RaisesOnceAnOutage(MemoryBackplane):
    """The first publish of an outage raises; later ones are silently dropped."""

    raised = False

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.server.up:
            self.raised = False
        elif self.raised:
            return
        self.raised = True
        await super().publish(messages)


class RaisesOncePublishing(MemoryBackplane):
    """The first publish of an outage is silently lost; later ones raise."""

    knows = False

    async def publish(self, messages: Sequence[Message]) -> None:
        knew, self.knows = self.knows, not self.server.up
        if self.server.up or knew:
            await super().publish(messages)


class ForgetsWhatWasUnsubscribed(MemoryBackplane):
    """A key that is unsubscribed and subscribed again during an outage is lost."""

    async def unsubscribe(self, keys: Collection[str]) -> None:
        await super().unsubscribe(keys)
        if not self.server.up:
            self.gone = self.__dict__.get("gone", set()) | set(keys)

    def wants(self, key: str) -> bool:
        return super().wants(key) and key not in self.__dict__.get("gone", ())


class ReturnsWithAHundred(MemoryBackplane):
    """After an outage only a hundred keys are subscribed again."""

    async def session(self, up: Callable[[], None]) -> None:
        self.keys = set(sorted(self.keys)[:100])
        await super().session(up)


class ListensAgainOnly(MemoryBackplane):
    """After a half-open connection it receives again, but does not publish."""

    was_dead = False

    def die(self) -> None:
        super().die()
        self.was_dead = True

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.was_dead:
            raise ConnectionError("the connection that publishes is gone")
        await super().publish(messages)


class SaysWhenItOpens(MemoryBackplane):
    """After a half-open connection the gap is not reported."""

    async def session(self, up: Callable[[], None]) -> None:
        missed, self.missed = self.missed, (lambda: None) if self.dead else self.missed
        try:
            await super().session(up)
        finally:
            self.missed = missed


FAULTS: dict[type[MemoryBackplane], str] = {
    CutsAt63: "delivery.keys",
    CutsAt255: "delivery.keys",
    CutsBytesAt1000: "delivery.keys",
    KeepsTheEnd: "delivery.keys",
    FoldsSharpS: "delivery.keys",
    Composes: "delivery.keys",
    ComposesCompatibly: "delivery.keys",
    Strips: "delivery.keys",
    AsciiOnly: "delivery.keys",
    JoinsSeparators: "delivery.keys",
    DropsPunctuation: "delivery.keys",
    UnescapesPercents: "delivery.keys",
    ReadsNumbers: "delivery.keys",
    TwelveBits: "delivery.keys",
    LikePatterns: "delivery.keys",
    Globs: "delivery.keys",
    Prefixes: "delivery.keys",
    DropsPast1000: "delivery.once",
    DropsPast4000: "delivery.once",
    DropsTheOldest: "delivery.once",
    LargeOnesLater: "delivery.order",
    LargeOnesWithABreak: "delivery.order",
    MixesParts: "delivery.bytes",
    NoMoreThan64K: "delivery.bytes",
    NoMoreThan256K: "delivery.bytes",
    LosesTheEmptyPart: "delivery.bytes",
    LargeCallsAreCut: "delivery.once",
    TakesAHundred: "delivery.once",
    TakesAThousand: "delivery.once",
    JoinsByKey: "delivery.once",
    LeavesOutRepeats: "delivery.once",
    LeavesOutRepeatsInACall: "delivery.once",
    StripsText: "delivery.bytes",
    IsText: "delivery.bytes",
    GivesBytearrays: "delivery.bytes",
    NotToItself: "delivery.once",
    ToOneOfThem: "delivery.once",
    ToEightOfThem: "delivery.once",
    SendsLater: "publish.raises",
    SplitsCalls: "delivery.order",
    ByKeyInACall: "delivery.order",
    WaitsForTheSlowest: "connection.half-open",
    GivesInAThread: "open.loop",
    StopsAtNothing: "delivery.once",
    SubscribesTwice: "delivery.once",
    HearsTwiceAfterwards: "unsubscribe.again",
    ReplacesKeys: "delivery.steady",
    TakesAThousandKeys: "subscribe.at-once",
    HoldsTwoThousandKeys: "subscribe.at-once",
    TakesListsAlone: "subscribe.at-once",
    UnsubscribesAnothers: "delivery.steady",
    UnsubscribesThoseBelow: "delivery.steady",
    UnsubscribesLater: "unsubscribe.again",
    UnsubscribesAll: "delivery.steady",
    SubscribesSoon: "subscribe.at-once",
    SubscribesTheLastSoon: "subscribe.at-once",
    OneAtATime: "delivery.steady",
    ReplaysTheLastTen: "delivery.unkept",
    StaysSubscribed: "close.reopens",
    KeepsTheFirstReceiver: "close.reopens",
    LeavesAThread: "close.ends",
    LeavesATimer: "close.ends",
    GivesAfterClosing: "close.ends",
    ClosesWhenConnected: "close.ends",
    LeavesATaskOfAnOutage: "close.ends",
    HearsTwiceAfterAnOutage: "delivery.once",
    MissedTooEarly: "open.missed",
    GivesUp: "connection.returns",
    ReturnsOnce: "connection.returns",
    RaisesOnceAnOutage: "publish.raises",
    RaisesOncePublishing: "publish.raises",
    ForgetsWhatWasUnsubscribed: "unsubscribe.again",
    ReturnsWithAHundred: "open.missed",
    ListensAgainOnly: "connection.half-open",
    SaysWhenItOpens: "connection.half-open",
}
"""Each class with the promise that it breaks."""

PASSES: dict[type[MemoryBackplane], str] = {
    LeavesATimer: "the kit cannot see the timers of an event loop, and nothing is received through this one",
}
"""The faults that no check catches, with the reason."""
