"""The event stream, frame by frame."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from ...registry import web_check
from ...running.exceptions import NotOffered
from ..context import WebContext

_MOST_FRAMES: Final = 20  # notifications of one change that have a frame each
_BURST: Final = 60  # notifications sent one after the other, while nobody reads the stream
_STREAMS: Final = 64  # streams the kit opens in search of a cap


@web_check("web/stream", "A stream is an event stream that no proxy keeps back", "stream.headers")
async def stream(c: WebContext) -> None:
    async with c.stream() as stream:
        c.equal("stream.headers", stream.status, 200, "its status")
        for name, expected in (
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache, no-transform"),
            ("x-accel-buffering", "no"),
        ):
            got = stream.headers.get(name, "")
            c.equal("stream.headers", got.partition(";")[0] if name == "content-type" else got, expected, name)


@web_check("web/stream-count", "It begins with the count, whatever it is by then", "frames.count")
async def stream_count(c: WebContext) -> None:
    [id] = await c.some()
    for verb in ("read", "unread"):
        await c.ask("POST", f"/{id}/{verb}")
        unread = await c.badge()
        async with c.stream() as stream:
            first = await c.first(stream)
        c.equal("frames.count", (first.event, first.json()), ("notification", {"count": unread}))
        c.equal("frames.count", bool(first.id), True, f"that its id, {first.id!r}, is not empty")
        c.equal("frames.count", (first.retry or "").isdecimal(), True, f"that its retry, {first.retry!r}, is a number")


@web_check("web/stream-resumed", "A reconnect gets the empty frame after the count", "frames.resumed")
async def stream_resumed(c: WebContext) -> None:
    async with c.stream() as stream:
        last = (await c.frame("frames.resumed", stream, "the count")).id
    async with c.stream(Last_Event_ID=last or "1") as stream:
        first = await c.frame("frames.resumed", stream, "the count")
        c.equal("frames.resumed", set(first.json() or {}), {"count"}, "the first frame")
        await c.expect_frame("frames.resumed", stream, "notification", None)


@web_check("web/stream-lines", "Line ends are LF only, and no text breaks a line", "frames.lines")
async def stream_lines(c: WebContext) -> None:
    nasty = "a\rb\nc\r\nd\x85e\u2028f\u2029g\x0bh\x0c\u00fc: k\n\nevent: evil\ndata: 1\n\n"
    async with c.stream() as stream:
        await c.live("frames.lines", stream)
        await c.sent(data={"text": nasty})
        await c.frame("frames.lines", stream, "what was sent")
        [shown] = await c.own()
        c.equal("frames.lines", shown["data"], {"text": nasty}, "the data that was sent")
        c.equal("frames.lines", b"\r" in stream.read, False, "that there is a CR on the stream")
        c.equal("frames.lines", stream.read.isascii(), True, "that all of it is ASCII")


@web_check("web/stream-item", "A new or replaced notification is sent as its item", "frames.item")
async def stream_item(c: WebContext) -> None:
    async with c.stream() as stream, c.stream() as second:
        for open in (stream, second):
            await c.live("frames.item", open)
        for step in (1, 2):
            await c.sent(key=c.type, data={"step": step, "count": 99})
            item = (await c.own())[0]
            for open in (stream, second):
                await c.expect_frame("frames.item", open, "notification", item)


@web_check("web/stream-burst", "What is sent in a burst, or is large, arrives whole and in order", "frames.item")
async def stream_burst(c: WebContext) -> None:
    async with c.stream() as stream:
        await c.live("frames.item", stream)
        await c.sent(data={"text": "\u00fc" * 9_000})
        await c.sent(_BURST)
        received = [await c.frame("frames.item", stream, "event: notification") for _ in range(_BURST + 1)]
        items = (await c.own())[::-1]
        c.equal("frames.item", [frame.json() for frame in received], items, "the items on the stream")


@web_check("web/stream-yours", "No stream gets events of another recipient", "frames.yours")
async def stream_yours(c: WebContext) -> None:
    for who, other in ((c.me, c.other), (c.other, c.me)):
        async with c.stream(who=who) as stream:
            await c.live("frames.yours", stream)
            [theirs] = await c.sent(who=other)
            await c.ask("POST", f"/{theirs}/read", who=other)
            [mine] = await c.sent(who=who)
            frame = await c.frame("frames.yours", stream, "what was sent to this recipient")
            c.equal("frames.yours", (frame.json() or {}).get("id"), mine, "the id of the first notification sent")


@web_check(
    "web/stream-marks", "Each mark and delete is sent as its frame and the empty one", "frames.read", "frames.unread",
    "frames.delete", "frames.empty",
)  # fmt: skip
async def stream_marks(c: WebContext) -> None:
    [id] = await c.sent()
    async with c.stream() as stream:
        await c.live("frames.empty", stream)
        await c.ask("POST", f"/{id}/read")
        [shown] = await c.own()
        await c.expect_frame("frames.read", stream, "read", {"notificationId": id, "readAt": shown["readAt"]})
        await c.expect_frame("frames.empty", stream, "notification", None)
        await c.ask("POST", f"/{id}/unread")
        await c.expect_frame("frames.unread", stream, "unread", {"notificationId": id})
        await c.expect_frame("frames.empty", stream, "notification", None)
        await c.ask("DELETE", f"/{id}")
        await c.expect_frame("frames.delete", stream, "delete", {"notificationId": id})
        await c.expect_frame("frames.empty", stream, "notification", None)


@web_check("web/stream-read", "A mark is sent to an open stream", "frames.read", "frames.empty")
async def stream_read(c: WebContext) -> None:
    [id] = await c.some()
    await c.ask("POST", f"/{id}/unread")
    async with c.stream() as stream:
        await c.live("frames.read", stream)
        await c.ask("POST", f"/{id}/read")
        [shown] = (await c.json(params={"limit": 1}))["items"]
        await c.expect_frame("frames.read", stream, "read", {"notificationId": id, "readAt": shown["readAt"]})
        await c.expect_frame("frames.empty", stream, "notification", None)


@web_check("web/stream-read-all", "A mark-all is sent with a null id", "frames.all-read", "frames.empty")
async def stream_read_all(c: WebContext) -> None:
    [id] = await c.some()
    await c.ask("POST", f"/{id}/unread")
    async with c.stream() as stream:
        await c.live("frames.all-read", stream)
        await c.ask("POST", "/read-all")
        frame = await c.frame("frames.all-read", stream, "event: read")
        c.equal("frames.all-read", (frame.event, set(frame.json() or {})), ("read", {"notificationId", "readAt"}))
        c.equal("frames.all-read", frame.json()["notificationId"], None, "its id")
        await c.expect_frame("frames.empty", stream, "notification", None)


@web_check("web/stream-filtered", "A filtered mark-all is sent as the empty frame alone", "frames.filtered")
async def stream_filtered(c: WebContext) -> None:
    async with c.stream() as stream:
        await c.live("frames.filtered", stream)
        [id] = await c.sent()
        await c.frame("frames.filtered", stream, "what was sent")
        await c.ask("POST", "/read-all", params={"type": c.type})
        await c.expect_frame("frames.filtered", stream, "notification", None)
        await c.ask("POST", f"/{id}/unread")
        for _ in range(2):
            await c.frame("frames.filtered", stream, "the frames of a mark")
        await c.ask("POST", "/read-all", params={"seen": (await c.own())[0]["updatedAt"]})
        await c.expect_frame("frames.filtered", stream, "notification", None)


@web_check(
    "web/stream-many",
    "Up to 20 marks at once have a frame each, more the empty one alone",
    "frames.many",
    "frames.count",
)
async def stream_many(c: WebContext) -> None:
    ids = await c.sent(2 * _MOST_FRAMES + 1)
    async with c.stream() as stream:
        first = await c.live("frames.many", stream)
        c.equal("frames.count", first.json(), {"count": await c.badge()}, "the count a stream begins with")
        await c.ask("PATCH", "/read", json={"ids": ids[:_MOST_FRAMES]})
        received = [await c.frame("frames.many", stream, "event: read") for _ in range(_MOST_FRAMES)]
        named = {(frame.event, (frame.json() or {}).get("notificationId")) for frame in received}
        c.equal("frames.many", named, {("read", id) for id in ids[:_MOST_FRAMES]}, "the frames of 20 marks")
        await c.expect_frame("frames.many", stream, "notification", None)
        await c.ask("PATCH", "/read", json={"ids": ids[_MOST_FRAMES:]})
        await c.expect_frame("frames.many", stream, "notification", None)
        await c.sent()
        frame = await c.frame("frames.many", stream, "the notification sent afterwards")
        c.equal("frames.many", "id" in (frame.json() or {}), True, "that nothing more was sent for 21 marks")


@web_check("web/stream-cap", "Past the cap of open streams one is the count, retry: 30000 and the end", "degraded.cap")
async def stream_cap(c: WebContext) -> None:
    [id] = await c.some()
    await c.ask("POST", f"/{id}/unread")
    unread = await c.badge()
    held = []  # one that no one refers to any more is closed
    async with AsyncExitStack() as stack:
        for _ in range(_STREAMS):
            stream = await stack.enter_async_context(c.stream())
            held.append(stream)
            c.equal("degraded.cap", stream.status, 200, "the status")
            first = await c.frame("degraded.cap", stream, "the count")
            if first.retry == "30000":
                break
        else:
            await c.ask("POST", f"/{id}/read")
            for stream in held:
                c.equal("degraded.cap", await stream.frame() is None, False, "that a stream ended without retry: 30000")
            raise NotOffered(f"a cap of open streams below {_STREAMS}")
        c.equal("degraded.cap", (first.event, first.json()), ("notification", {"count": unread}))
        c.equal("degraded.cap", await stream.frame(), None, "what follows the count")
