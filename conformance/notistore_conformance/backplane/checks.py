"""The checks of a backplane, in reading order."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from ..registry import Check, check
from .site import Message, Node, Site, begun_tasks

__all__ = ["BACKPLANE_CHECKS"]

BACKPLANE_CHECKS: Final[dict[str, Check]] = {}
"""Every check of a backplane by its id."""

_check = partial(check, into=BACKPLANE_CHECKS)
_outage_check = partial(_check, seconds=90.0)  # servers take their time to return

# Wildcards, separators and quotes of the usual servers, and pairs that a careless comparison takes for the same.
_HOSTILE: Final = [
    "*",
    ">",
    "a.b",
    "a.*",
    "{a}b",
    "a b",
    "a:b",
    "'; --",
    "%s",
    "\u00e4",
    "a\u0308",
    "A",
    "a",
    "a ",
    "x" * 900,
]


def _numbered(key: str, count: int, name: str = "") -> list[Message]:
    return [(key, f"{name}{n}".encode()) for n in range(count)]


@_check("backplane/once", "Whoever has subscribed receives each message once, the publisher too", "delivery.once")
async def once(site: Site) -> None:
    sent = _numbered(site.key(), 50)
    async with site.nodes(3) as nodes:
        for node in nodes:
            await node.subscribe([site.key()])
        for message in sent:
            await nodes[0].publish(message)
        for node in nodes:
            received = await node.until("delivery.once", *sent)
            site.equal("delivery.once", sorted(received), sorted(sent), f"in {node.name}")


@_check(
    "backplane/order", "What one publishes to one key comes in order, in calls of one and of many", "delivery.order"
)
async def order(site: Site) -> None:
    one, other = site.key("one"), site.key("other")
    async with site.nodes(3) as [listener, *senders]:
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
                site.equal("delivery.order", got, sorted(got, key=sent.index), f"of {sender.name}")


@_check("backplane/keys", "Keys are any text, compared exactly", "delivery.keys")
async def keys(site: Site) -> None:
    named = [site.key(name) for name in _HOSTILE]
    async with site.nodes(3) as [sender, even, odd]:
        await even.subscribe(named[::2])
        await odd.subscribe(named[1::2])
        sent = [(key, str(n).encode()) for n, key in enumerate(named)]
        await sender.publish(*sent)
        for node, own in ((even, sent[::2]), (odd, sent[1::2])):
            await node.until("delivery.keys", *own)
            foreign = [message for message in node.of(*named) if message not in own]
            site.equal("delivery.keys", foreign, [], f"of keys that {node.name} has not subscribed to")


@_check("backplane/bytes", "Messages are any bytes, none of them and 300 KiB too", "delivery.bytes")
async def any_bytes(site: Site) -> None:
    key = site.key()
    sizes = [7_999, 8_000, 8_001, 65_536, 300 * 1024]  # around the limits of the usual servers
    messages = [b"", b"\x00", bytes(range(256)), b"\r\n\n", b"\xff\xfe", *(bytes([n % 251]) * n for n in sizes)]
    async with site.nodes(2) as [sender, listener]:
        await listener.subscribe([key])
        for message in messages:
            await sender.publish((key, message))
            await listener.until("delivery.bytes", (key, message))


@_check("backplane/unkept", "Who subscribes later receives what comes later", "delivery.unkept")
async def unkept(site: Site) -> None:
    key = site.key()
    async with site.nodes(2) as [sender, listener]:
        await sender.publish((key, b"earlier"))
        await listener.subscribe([key])
        await sender.publish((key, b"later"))
        received = await listener.until("delivery.unkept", (key, b"later"))
        site.equal("delivery.unkept", received, [(key, b"later")])


@_check("backplane/steady", "While other keys come and go a key loses and repeats nothing", "delivery.steady")
async def steady(site: Site) -> None:
    key, coming = site.key(), site.keys(50)
    async with site.nodes(2) as [sender, listener]:
        await listener.subscribe([key])
        sent: list[Message] = []
        over = asyncio.Event()

        async def send() -> None:
            while not over.is_set():
                sent.append((key, str(len(sent)).encode()))
                await sender.publish(sent[-1])
                await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        try:
            for other in coming:
                await listener.subscribe([other])
            await listener.unsubscribe(coming[::2])
            await listener.unsubscribe(coming[1::2])
        finally:
            over.set()
            await sending
        await sender.publish((key, b"last"))
        await listener.until("delivery.steady", (key, b"last"))
        site.equal("delivery.steady", listener.of(key), [*sent, (key, b"last")])


@_check("backplane/at-once", "Once subscribe has returned nothing is missed", "subscribe.at-once")
async def at_once(site: Site) -> None:
    async with site.nodes(2) as [sender, listener]:
        for key in site.keys(30 * site.profile.rounds):
            await listener.subscribe([key])
            await sender.publish((key, b"now"))
            await listener.until("subscribe.at-once", (key, b"now"))


@_check(
    "backplane/first-subscribes", "Nor when many processes subscribe for the first time at once", "subscribe.at-once"
)
async def first_subscribes(site: Site) -> None:
    for n in range(site.profile.rounds):
        async with site.nodes(6) as [sender, *listeners]:
            shared = site.key(f"shared {n}")

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


@_check("backplane/many-keys", "Hundreds of keys are subscribed in one call, and more beside them", "subscribe.at-once")
async def many_keys(site: Site) -> None:
    named = site.keys(400 * site.profile.rounds)
    half = len(named) // 2
    async with site.nodes(2) as [sender, listener]:
        await listener.subscribe(named[:half])
        await listener.subscribe(named[half:])
        sent = [(key, b"here") for key in named]
        await sender.publish(*sent)
        await listener.until("subscribe.at-once", *sent)


@_check("backplane/unsubscribe", "What was unsubscribed can be subscribed to again", "unsubscribe.again")
async def unsubscribe(site: Site) -> None:
    left, kept = site.key("left"), site.key("kept")
    async with site.nodes(2) as [sender, listener]:
        for n in range(3):
            await listener.subscribe([left, kept])
            sent = [(left, str(n).encode()), (kept, str(n).encode())]
            await sender.publish(*sent)
            await listener.until("unsubscribe.again", *sent)
            await listener.unsubscribe([left])


@_check("backplane/closes", "Closing ends every task, and nothing is received any more", "close.ends")
async def closes(site: Site) -> None:
    async with site.node(opened=False) as node:
        with begun_tasks() as tasks:
            await node.begin()
            await node.subscribe([site.key()])
            await node.publish((site.key(), b"message"))
            await node.end()
        left = [str(task.get_coro()) for task in tasks if not task.done()]
        site.equal("close.ends", left, [], "tasks still running")
        node.open = True
        async with site.node() as sender:
            await sender.subscribe([site.key()])
            node.received.clear()
            await sender.publish((site.key(), b"afterwards"))
            await sender.until("close.ends", (site.key(), b"afterwards"))
            site.equal("close.ends", node.received, [], "received after it was closed")
        node.open = False


@_check("backplane/reopens", "What was closed can be opened again", "close.reopens")
async def reopens(site: Site) -> None:
    async with site.node(opened=False) as node:
        for n in range(3):
            await node.begin()
            message = (site.key(str(n)), b"message")
            await node.subscribe([message[0]])
            await node.publish(message)
            await node.until("close.reopens", message)
            await node.end()


@_outage_check("backplane/publish-raises", "Without its server publishing raises", "publish.raises")
async def publish_raises(site: Site) -> None:
    key = site.key()
    async with site.nodes(2) as [sender, listener]:
        await listener.subscribe([key])
        await sender.publish((key, b"before"))
        async with site.outage():
            for n in range(3):
                await site.raises("publish.raises", sender.publish((key, str(n).encode())), "of publish")


@_outage_check(
    "backplane/reconnects",
    "After an outage it is back by itself and has told of it",
    "connection.returns",
    "open.missed",
)
async def reconnects(site: Site) -> None:
    named = site.keys(50)
    async with site.nodes(2) as [sender, listener]:
        await listener.subscribe(named)
        for n in range(2):
            async with site.outage():
                listener.gaps = 0
            await listener.until_missed("open.missed")
            sent = [(key, f"after outage {n}".encode()) for key in named]
            await sender.accepts(*sent)
            await listener.until("open.missed", *sent)


@_outage_check(
    "backplane/subscribes-later", "What could not be subscribed is on reconnect, followed by missed", "subscribe.later"
)
async def subscribes_later(site: Site) -> None:
    known, late = site.key("known"), site.key("late")
    async with site.nodes(2) as [sender, listener]:
        await listener.subscribe([known])
        async with site.outage():
            await site.raises("subscribe.later", listener.subscribe([late]), "of subscribe")
            listener.gaps = 0
        await listener.until_missed("subscribe.later")
        await sender.accepts((late, b"after the outage"))
        await listener.until("subscribe.later", (late, b"after the outage"))


@_outage_check(
    "backplane/opens-without-server",
    "It opens while its server is away, and connects later",
    "open.returns",
    "connection.returns",
)
async def opens_without_server(site: Site) -> None:
    key = site.key()
    async with site.node(opened=False) as node:
        async with site.outage():
            await node.begin()
            await site.raises("open.returns", node.subscribe([key]), "of subscribe, for there is no server")
        await node.until_missed("connection.returns")
        await node.accepts((key, b"after the outage"))
        await node.until("connection.returns", (key, b"after the outage"))


@_outage_check(
    "backplane/half-open", "A connection that is half open is noticed within seconds", "connection.half-open"
)
async def half_open(site: Site) -> None:
    key = site.key()
    async with site.nodes(2) as [other, node]:
        await node.subscribe([key])
        await node.publish((key, b"before"))
        await node.until("connection.half-open", (key, b"before"))
        await node.half_open()
        await node.until_missed("connection.half-open", soon=True)
        await other.publish((key, b"heard again"))
        await node.until("connection.half-open", (key, b"heard again"))
        await node.accepts((key, b"said again"))
        await node.until("connection.half-open", (key, b"said again"))
