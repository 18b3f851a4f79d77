"""The checks of a backplane, in reading order."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from functools import partial
from typing import Final

from ..registry import backplane_check
from .context import BackplaneContext, Message, Node, begun_tasks

_outage_check = partial(backplane_check, seconds=90.0)  # servers take their time to return

# Pairs that a careless comparison takes for the same, or the first for a pattern of the second.
_HOSTILE: Final = [
    *(("x" * 970 + "y", "x" * 970 + "z"), ("y" + "x" * 970, "z" + "x" * 970)),  # cut
    *(("\u00fc" * 970 + "y", "\u00fc" * 970 + "z"), ("", "a"), ("a", "ab"), ("a", "a:b"), ("a", "a.b")),
    *(("a", "A"), ("\u00e4", "\u00c4"), ("stra\u00dfe", "strasse"), ("\u0130", "i\u0307")),  # folded
    *(("\u00e4", "a\u0308"), ("\ufb01", "fi"), ("\u00e4", "a"), ("\u00e9", "\u00e8"), ("\u00e4", "?")),  # composed
    *(("a", "a "), ("a", " a"), ("a b", "a  b"), ("1", "01"), ("a", "'a'"), ("a", '"a"'), ("\\", "\\\\")),  # cleaned
    *(("a:b", "a.b"), ("a/b", "a_b"), ("a-b", "ab"), ("{a}b", "a}b"), ("a b", "a_b"), ("a:", "a")),
    *(("*", "a"), ("a.*", "a.b"), (">", "a.b"), ("a?", "ab"), ("[ab]", "a"), ("a_", "ax"), ("a%", "axx")),  # patterns
    *(("%61", "a"), ("a+b", "a b"), ("%s", "%%s"), ("'; --", "''; --")),
]


_LONG_OUTAGE: Final = 4.0  # seconds, after which a backplane tries at its longest intervals
_RETURN_TIMEOUT: Final = 3.0  # seconds, less than it takes to notice that a connection is gone


def _brief(message: Message) -> tuple[bytes, int]:
    return message[1][:8], len(message[1])


def _numbered(key: str, count: int, name: str = "") -> list[Message]:
    return [(key, f"{name}{n}".encode()) for n in range(count)]


@backplane_check(
    "backplane/once",
    "Every subscriber receives each message once, the publisher too",
    *("delivery.once", "open.loop"),
)
async def once(c: BackplaneContext) -> None:
    key, other = c.key(), c.key("other")
    # In calls of one and of many, some of them equal: that two messages say the same does not make them one.
    calls = [[message] for message in _numbered(key, 50)] + [[(key, b"same")], [(key, b"same")]]
    calls += [
        [(key, b"both"), (other, b"both"), *[(key, b"same")] * 3, *_numbered(key, 20, "many "), (key, b"both")],
        [],
    ]
    async with c.nodes(10) as nodes:
        for node in nodes:
            await node.subscribe([key, other])
            await node.subscribe({key})  # again
        for call in calls:
            await nodes[0].publish(*call)
        await nodes[0].publish((key, b"end"), (other, b"end"))
        sent = [message for call in calls for message in call] + [(key, b"end"), (other, b"end")]
        for node in nodes:
            received = await node.until("delivery.once", *sent)
            c.equal("delivery.once", sorted(received), sorted(sent), f"in {node.name}")


@backplane_check(
    "backplane/order", "What one publishes to one key comes in order, in calls of one and of many", "delivery.order"
)
async def order(c: BackplaneContext) -> None:
    one, other = c.key("one"), c.key("other")
    async with c.nodes(3) as [listener, *senders]:
        await listener.subscribe([one, other])

        async def send(sender: Node) -> None:
            for start in range(0, 200, 20):
                for n in range(start, start + 10):
                    await sender.publish((one, f"{sender.name} {n}".encode()), (other, f"{sender.name} {n}".encode()))
                many = [f"{sender.name} {n}".encode() for n in range(start + 10, start + 20)]
                await sender.publish(*[(key, text) for text in many for key in (one, other)])

        await asyncio.gather(*map(send, senders))
        for sender in senders:
            for key in (one, other):
                sent = _numbered(key, 200, f"{sender.name} ")
                await listener.until("delivery.order", sent[-1])
                # A message that came twice, or not at all, is another check's; what is out of order is this one's.
                got = list(dict.fromkeys(message for message in listener.received if message in set(sent)))
                c.equal("delivery.order", got, sorted(got, key=sent.index), f"of {sender.name}")


@backplane_check(
    "backplane/flood",
    "Thousands of messages in one call, and large ones, all arrive in order",
    *("delivery.once", "delivery.order"),
)
async def flood(c: BackplaneContext) -> None:
    key = c.key()
    async with c.nodes(2) as [sender, listener]:
        await listener.subscribe([key])
        many = _numbered(key, 6_000)
        large = [(key, bytes([n]) * (120_000 if n % 2 else 20)) for n in range(40)]
        for call in (many, large):
            await sender.publish(*call)
            await sender.publish((key, b"after %d" % len(call)))
            await listener.until("delivery.once", (key, b"after %d" % len(call)))
            wanted = set(call)
            got = [message for message in listener.received if message in wanted]
            c.equal("delivery.order", [_brief(m) for m in got], [_brief(m) for m in call], f"of {len(call)}")


@backplane_check("backplane/keys", "Keys are any text, compared exactly", "delivery.keys")
async def keys(c: BackplaneContext) -> None:
    pairs = [(c.key(f"{n}:{one}"), c.key(f"{n}:{other}")) for n, (one, other) in enumerate(_HOSTILE)]
    sent = [(key, str(n).encode()) for n, pair in enumerate(pairs) for key in pair]
    async with c.nodes(3) as [sender, first, second]:
        for node, own in zip((first, second), zip(*pairs, strict=True), strict=True):
            await node.subscribe(own)
        await sender.publish(*sent, (pairs[0][0], b"end"), (pairs[0][1], b"end"))
        for node, wanted in ((first, sent[::2]), (second, sent[1::2])):
            received = await node.until("delivery.keys", *wanted, (wanted[0][0], b"end"))
            foreign = [message for message in received if message not in wanted and message[1] != b"end"]
            c.equal("delivery.keys", foreign, [], f"of keys that {node.name} has not subscribed to")


@backplane_check("backplane/bytes", "Messages are any bytes, none of them and 300 KiB too", "delivery.bytes")
async def any_bytes(c: BackplaneContext) -> None:
    key = c.key()
    sizes = [4_000, 7_999, 8_000, 8_001, 16_384, 65_535, 65_536, 128_000, 300 * 1024]  # around the usual limits
    messages = [b"", b"\x00", bytes(range(256)), b"\r\n\n", b"\xff\xfe", b" a \x00 ", b"007", b"null"]
    messages += [bytes([n % 251]) * n for n in sizes]
    async with c.nodes(3) as [sender, other, listener]:
        await listener.subscribe([key])
        for message in messages:
            await sender.publish((key, message))
            await listener.until("delivery.bytes", (key, message))
        # Of two who send at once, the parts of one may not get between those of the other.
        sent = [(key, name * 100_000) for name in (b"a", b"b", b"c", b"d")]
        await asyncio.gather(sender.publish(*sent[:2]), other.publish(*sent[2:]))
        await listener.until("delivery.bytes", *sent)


@backplane_check("backplane/unkept", "Who subscribes later receives what comes later", "delivery.unkept")
async def unkept(c: BackplaneContext) -> None:
    key = c.key()
    async with c.nodes(2) as [sender, listener]:
        await sender.publish(*_numbered(key, 20, "earlier "))
        await listener.subscribe([key])
        await sender.publish((key, b"later"))
        received = await listener.until("delivery.unkept", (key, b"later"))
        await listener.quiet()
        c.equal("delivery.unkept", received, [(key, b"later")])


@backplane_check("backplane/steady", "While other keys come and go a key loses and repeats nothing", "delivery.steady")
async def steady(c: BackplaneContext) -> None:
    key = c.key("key:long")
    coming = [*c.keys(50), c.key("key"), c.key(""), c.key("key:"), c.key("key:long:er")]
    async with c.nodes(3) as [sender, listener, other]:
        await listener.subscribe([key])
        await other.subscribe([key, *coming])
        sent: list[Message] = []
        over = asyncio.Event()

        async def send(node: Node) -> None:
            while not over.is_set():
                sent.append((key, f"{node.name} {len(sent)}".encode()))
                await node.publish(sent[-1])
                await asyncio.sleep(0)

        sending = [asyncio.create_task(send(node)) for node in (sender, listener)]
        try:
            for one in coming:
                await listener.subscribe([one])
            await listener.subscribe([])
            await listener.unsubscribe([])
            await listener.unsubscribe(coming[::2])
            await listener.unsubscribe(set(coming[1::2]))
            await listener.subscribe(dict.fromkeys(coming).keys())
            await other.unsubscribe([key, *coming])
        finally:
            over.set()
            await asyncio.gather(*sending)
        await sender.publish(last := (key, b"last"), (coming[0], b"last"))
        await listener.until("delivery.steady", *sent, last, (coming[0], b"last"))
        c.equal("delivery.steady", sorted(listener.of(key)), sorted([*sent, last]))


@backplane_check("backplane/at-once", "Once subscribe has returned nothing is missed", "subscribe.at-once")
async def at_once(c: BackplaneContext) -> None:
    async with c.nodes(2) as [sender, listener]:
        for key in c.keys(30 * c.profile.rounds):
            await listener.subscribe([key])
            await sender.publish((key, b"now"))
            await listener.until("subscribe.at-once", (key, b"now"))


@backplane_check(
    "backplane/first-subscribes", "Nor when many processes subscribe for the first time at once", "subscribe.at-once"
)
async def first_subscribes(c: BackplaneContext) -> None:
    for n in range(c.profile.rounds):
        async with c.nodes(6) as [sender, *listeners]:
            shared = c.key(f"shared {n}")

            sending = asyncio.Lock()  # calls of one name never overlap

            async def join(
                listener: Node, shared: str = shared, sender: Node = sender, sending: asyncio.Lock = sending
            ) -> None:
                own = f"{shared} {listener.name}"
                await listener.subscribe([shared, own])
                mine = [(own, b"to one"), (shared, f"since {listener.name}".encode())]
                async with sending:
                    await sender.publish(*mine)
                await listener.until("subscribe.at-once", *mine)

            async with asyncio.TaskGroup() as group:
                for listener in listeners:
                    group.create_task(join(listener))


@backplane_check(
    "backplane/many-keys",
    "Thousands of keys are subscribed to, many in one call, and nothing is received for others",
    *("subscribe.at-once", "delivery.keys"),
)
async def many_keys(c: BackplaneContext) -> None:
    named = c.keys(3_000)
    foreign = [c.key(f"foreign {n}") for n in range(1_000)]
    async with c.nodes(2) as [sender, listener]:
        for call in (named[:1_500], named[1_500:]):
            await listener.subscribe(dict.fromkeys(call).keys())
            last = [(key, b"at once") for key in call[-10:]]
            await sender.publish(*last)
            await listener.until("subscribe.at-once", *last)
        sent = [(key, b"here") for key in named]
        for start in range(0, len(sent), 500):
            await sender.publish(*sent[start : start + 500])
        await sender.publish(*[(key, b"not here") for key in foreign])
        await sender.publish((named[0], b"end"))
        received = await listener.until("subscribe.at-once", *sent, (named[0], b"end"))
        got = [message for message in received if message[1] == b"not here"]
        c.equal("delivery.keys", got, [], "of keys that were not subscribed")


@backplane_check("backplane/unsubscribe", "What was unsubscribed can be subscribed to again", "unsubscribe.again")
async def unsubscribe(c: BackplaneContext) -> None:
    left, kept = c.key("left"), c.key("kept")
    async with c.nodes(2) as [sender, listener]:
        await listener.unsubscribe([c.key("never subscribed")])
        everything: list[Message] = []
        for n in range(3):
            await listener.subscribe([left, kept])
            await listener.quiet()  # for an unsubscribe that comes late
            sent = [(left, str(n).encode()), (kept, str(n).encode())]
            everything += sent
            await sender.publish(*sent)
            await listener.until("unsubscribe.again", *sent)
            await listener.unsubscribe([left])
        c.equal("unsubscribe.again", sorted(listener.received), sorted(everything), "each once")


@backplane_check(
    "backplane/publishes-last",
    "Messages that publish has returned for are received, even when it is closed at once",
    "publish.raises",
)
async def publishes_last(c: BackplaneContext) -> None:
    key = c.key()
    async with c.node() as listener:
        await listener.subscribe([key])
        async with c.node() as sender:
            sent = _numbered(key, 300)
            await sender.publish(*sent)
        await listener.until("publish.raises", *sent)


@backplane_check(
    "backplane/closes", "Closing ends every task and thread, and nothing is received any more", "close.ends"
)
async def closes(c: BackplaneContext) -> None:
    async with c.node(opened=False) as node:
        await node.begin()
        await node.end()  # a client library may start threads once, for the whole process
        threads = set(threading.enumerate())
        with begun_tasks() as tasks:
            await node.begin()
            await node.subscribe([c.key()])
            await node.publish((c.key(), b"message"))
            await node.end()
        left = [str(task.get_coro()) for task in tasks if not task.done()]
        c.equal("close.ends", left, [], "tasks still running")
        begun = [thread.name for thread in set(threading.enumerate()) - threads]
        begun = [name for name in begun if not name.startswith("asyncio_")]  # the event loop's own, for look-ups
        c.equal("close.ends", begun, [], "threads still running")
        node.open = True
        node.received.clear()
        async with c.node() as sender:
            await sender.subscribe([c.key()])
            await sender.publish((c.key(), b"afterwards"))
            await sender.until("close.ends", (c.key(), b"afterwards"))
            await node.quiet()
            c.equal("close.ends", node.received, [], "received after it was closed")
        node.open = False


@backplane_check("backplane/reopens", "What was closed can be opened again, and has no keys then", "close.reopens")
async def reopens(c: BackplaneContext) -> None:
    async with c.node(opened=False) as node:
        for n in range(3):
            await node.begin()
            message = (c.key(str(n)), b"message")
            await node.subscribe([message[0]])
            await node.publish(*[(c.key(str(earlier)), b"message") for earlier in range(n + 1)])
            await node.until("close.reopens", message)
            await node.end()
        named = [key for key, _ in node.received]
        c.equal("close.reopens", named, [c.key(str(n)) for n in range(3)], "keys of what was received")


@_outage_check("backplane/publish-raises", "Without its server publishing raises", "publish.raises")
async def publish_raises(c: BackplaneContext) -> None:
    key = c.key()
    async with c.nodes(2) as [sender, listener]:
        await listener.subscribe([key])
        await sender.publish((key, b"before"))
        async with c.outage():
            for n in range(3):
                await c.raises("publish.raises", sender.publish((key, str(n).encode())), "of publish")


@_outage_check(
    "backplane/reconnects",
    "After an outage it reconnects by itself, calls missed and receives each message once",
    *("connection.returns", "open.missed", "delivery.once"),
)
async def reconnects(c: BackplaneContext) -> None:
    named = c.keys(300)
    async with c.nodes(2) as [sender, listener]:
        await listener.subscribe(named)
        for n, seconds in enumerate((0.0, _LONG_OUTAGE)):
            async with c.outage():
                await asyncio.sleep(seconds)
                listener.gaps = 0
            await listener.until_missed("open.missed")
            await sender.accepts(*[(key, f"after outage {n}".encode()) for key in named])
            await listener.until("open.missed", *[(key, f"after outage {n}".encode()) for key in named])
            sent = [(key, f"once {n}".encode()) for key in named]
            await sender.publish(*sent)
            await listener.until("delivery.once", *sent)
            got = [message for message in listener.received if message in set(sent)]
            c.equal("delivery.once", sorted(got), sorted(sent), "after the outage")


@_outage_check(
    "backplane/subscribes-later",
    "What could not be subscribed is on reconnect, followed by missed",
    *("subscribe.later", "unsubscribe.again"),
)
async def subscribes_later(c: BackplaneContext) -> None:
    known, late, again = c.key("known"), c.key("late"), c.key("again")
    async with c.nodes(2) as [sender, listener]:
        await listener.subscribe([known, again])
        async with c.outage():
            await c.raises("subscribe.later", listener.subscribe([late]), "of subscribe")
            with suppress(Exception):
                await listener.unsubscribe([again])
            await c.raises("subscribe.later", listener.subscribe([again]), "of subscribe")
            listener.gaps = 0
        await listener.until_missed("subscribe.later")
        await sender.accepts(*[(key, b"after the outage") for key in (known, late, again)])
        await listener.until("subscribe.later", (late, b"after the outage"), (known, b"after the outage"))
        await listener.until("unsubscribe.again", (again, b"after the outage"))


@_outage_check(
    "backplane/closes-cut-off",
    "It closes while its server is away, and ends every task",
    "close.ends",
)
async def closes_cut_off(c: BackplaneContext) -> None:
    async with c.node(opened=False) as node, c.node(opened=False) as late:
        with begun_tasks() as tasks:
            await node.begin()
            await node.subscribe([c.key()])
            async with c.outage():
                with suppress(Exception):
                    await node.publish((c.key(), b"message"))
                await late.begin()
                await node.end()
                await late.end()
                left = [str(task.get_coro()) for task in tasks if not task.done()]
                c.equal("close.ends", left, [], "tasks still running")


@_outage_check(
    "backplane/opens-without-server",
    "It opens while its server is away, and connects later",
    "open.returns",
    "connection.returns",
)
async def opens_without_server(c: BackplaneContext) -> None:
    key = c.key()
    async with c.node(opened=False) as node:
        async with c.outage():
            await node.begin()
            await c.raises("open.returns", node.subscribe([key]), "of subscribe, for there is no server")
        await node.until_missed("connection.returns")
        await node.accepts((key, b"after the outage"))
        await node.until("connection.returns", (key, b"after the outage"))


@_outage_check(
    "backplane/half-open",
    "A connection that is half open is noticed within seconds, and delays no other publisher",
    *("connection.half-open", "publish.returns"),
)
async def half_open(c: BackplaneContext) -> None:
    key = c.key()
    async with c.nodes(2) as [other, node]:
        await node.subscribe([key])
        await node.publish((key, b"before"))
        await node.until("connection.half-open", (key, b"before"))
        await node.half_open()
        async with c.timeout(_RETURN_TIMEOUT, "publish.returns", "that others publish meanwhile"):
            await other.publish((key, b"meanwhile"))
        await node.until_missed("connection.half-open", soon=True)
        await other.publish((key, b"received again"))
        await node.until("connection.half-open", (key, b"received again"))
        await node.accepts((key, b"said again"))
        await node.until("connection.half-open", (key, b"said again"))
