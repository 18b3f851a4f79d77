"""GET /notifications/stream, over a real server, byte for byte."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx
import pytest

from notistore import Inbox, MemoryStore, Notification, Recipient, SseHub
from notistore.web.stream import StreamResponse

from .conftest import USER
from .mounts import Mount
from .served import Served

EMPTY = b"event: notification\ndata:\n\n"


@pytest.fixture
def path(mount: Mount) -> str:
    return f"{mount.prefix}/notifications/stream"


@pytest.fixture
async def client(served: Served, mount: Mount) -> Any:
    async with httpx.AsyncClient(base_url=served.url + mount.prefix, headers={"x-user": USER.id}) as client:
        yield client


def frame(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: ".encode() + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


async def test_its_headers_keep_proxies_from_buffering(served: Served, path: str) -> None:
    async with served.stream(path) as stream:
        assert stream.status == 200
        headers = {name: value for name, value in stream.headers.items() if name not in ("date", "server")}
    assert headers == {
        "content-type": "text/event-stream",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "x-content-type-options": "nosniff",
        "transfer-encoding": "chunked",
    }


async def test_it_begins_with_the_count(served: Served, path: str, inbox: Inbox, user: Recipient) -> None:
    await inbox.send(user, "t")
    retries = set()
    for _ in range(5):
        async with served.stream(path) as stream:
            first = await stream.frame()
        matched = re.fullmatch(rb'event: notification\nid: \d+\nretry: (\d+)\ndata: \{"count":1\}\n\n', first)
        assert matched, first
        retries.add(int(matched[1]))
    assert all(1000 <= retry <= 3000 for retry in retries)
    assert len(retries) > 1, "every browser would reconnect at once"


async def test_a_reconnected_stream_refetches_too(served: Served, path: str, inbox: Inbox, user: Recipient) -> None:
    async with served.stream(path, last_event_id="") as stream:
        count, refetch = await stream.frames(2)
    assert b'data: {"count":0}\n' in count
    assert refetch == EMPTY


async def test_a_notification_is_its_item_and_nothing_else(
    served: Served, path: str, client: httpx.AsyncClient, inbox: Inbox, user: Recipient
) -> None:
    async with served.stream(path) as stream:
        await stream.frame()
        await inbox.send(user, "t", {"text": "ü"}, key="k")
        received = await stream.frame()
        [item] = (await client.get("/notifications")).json()["items"]
        assert received == frame("notification", item)


async def test_a_count_in_a_users_data_never_reaches_the_badge(
    served: Served, path: str, inbox: Inbox, user: Recipient
) -> None:
    async with served.stream(path) as stream:
        await stream.frame()
        await inbox.send(user, "t", {"count": 99})
        await inbox.send_live(user, "t", {"count": 99})
        for received in await stream.frames(2):
            item = json.loads(received.removeprefix(b"event: notification\ndata: "))
            assert "count" not in item
            assert item["data"] == {"count": 99}


async def test_no_text_can_break_a_line(served: Served, path: str, inbox: Inbox) -> None:
    nasty = "a\rb\nc\r\nd\x85e\u2028f\u2029g\x0bh\x0ci\x1cj: k\n\nevent: evil\ndata: 1\n\n"
    user = Recipient("42", tenant="a: b")
    async with served.stream(path, x_tenant="a: b") as stream:
        await stream.frame()
        await inbox.send(user, "event: evil", {nasty: nasty}, key="data: 1")
        received = await stream.frame()
        await inbox.send_live(user, "end")
        assert b'"type":"end"' in await stream.frame()
    assert len(received.decode("ascii").splitlines()) == 3
    assert b"\r" not in received
    assert json.loads(received.removeprefix(b"event: notification\ndata: "))["data"] == {nasty: nasty}


async def test_marks_and_deletes_reach_every_stream_of_the_recipient(
    served: Served, path: str, client: httpx.AsyncClient, inbox: Inbox, user: Recipient
) -> None:
    sent = await inbox.send(user, "t")
    async with served.stream(path) as one, served.stream(path) as two:
        await one.frame()
        await two.frame()

        async def frame_of_both() -> bytes:
            [first, second], both = await one.frames(2), await two.frames(2)
            assert both == [first, second]
            assert second == EMPTY
            return first

        await client.post(f"/notifications/{sent.id}/read")
        row = await inbox.get(user, sent.id)
        assert row is not None
        assert row.read_at is not None
        read_at = row.read_at.isoformat(timespec="milliseconds")
        assert await frame_of_both() == frame("read", {"notificationId": sent.id, "readAt": read_at})

        await client.post(f"/notifications/{sent.id}/read")  # changes nothing, so sends no frame
        await client.post(f"/notifications/{sent.id}/unread")
        assert await frame_of_both() == frame("unread", {"notificationId": sent.id})

        await client.post("/notifications/read-all")
        row = await inbox.get(user, sent.id)
        assert row is not None
        assert row.read_at is not None
        read_at = row.read_at.isoformat(timespec="milliseconds")
        assert await frame_of_both() == frame("read", {"notificationId": None, "readAt": read_at})

        await client.delete(f"/notifications/{sent.id}")
        assert await frame_of_both() == frame("delete", {"notificationId": sent.id})


@pytest.mark.parametrize(("number", "frames"), [(20, 20), (21, 0)])
async def test_a_change_of_more_than_20_rows_sends_only_the_empty_frame(
    served: Served, path: str, client: httpx.AsyncClient, inbox: Inbox, user: Recipient, number: int, frames: int
) -> None:
    ids = [(await inbox.send(user, "t")).id for _ in range(number)]
    async with served.stream(path) as stream:
        await stream.frame()
        await client.patch("/notifications/read", json={"ids": ids})
        received = await stream.frames(frames + 1)
    assert [json.loads(read.split(b"data: ")[1])["notificationId"] for read in received[:-1]] == ids[:frames]
    assert received[-1] == EMPTY


@pytest.mark.parametrize("query", ["?type=t", "?seen=2126-01-01T00:00:00Z"])
async def test_a_filtered_read_all_sends_only_the_empty_frame(
    served: Served, path: str, client: httpx.AsyncClient, inbox: Inbox, user: Recipient, query: str
) -> None:
    await inbox.send(user, "t")
    async with served.stream(path) as stream:
        await stream.frame()
        await client.post(f"/notifications/read-all{query}")
        assert await stream.frame() == EMPTY


async def test_an_event_goes_out_only_once_its_row_can_be_read(
    served: Served, mount: Mount, path: str, hub: SseHub, user: Recipient
) -> None:
    class SlowStore(MemoryStore):
        begun = asyncio.Event()
        proceed = asyncio.Event()

        async def insert(self, notification: Notification) -> None:
            self.begun.set()
            await self.proceed.wait()
            await super().insert(notification)

    inbox = Inbox(SlowStore(), hub)
    served.app = mount.build(inbox)
    async with served.stream(path) as stream:
        await stream.frame()
        sending = asyncio.create_task(inbox.send(user, "slow"))
        await SlowStore.begun.wait()
        await inbox.send_live(user, "live only")
        assert b'"type":"live only"' in await stream.frame()
        SlowStore.proceed.set()
        assert b'"type":"slow"' in await stream.frame()
        await sending


async def test_events_reach_no_other_recipient(served: Served, path: str, inbox: Inbox, user: Recipient) -> None:
    others = [Recipient("43"), Recipient("42", tenant="acme"), Recipient("42", type="team")]
    async with served.stream(path) as stream:
        await stream.frame()
        await inbox.send_many([*others, user], "t")
        assert b'"tenantId":null' in await stream.frame()
        await inbox.send_live(user, "end")
        assert b'"type":"end"' in await stream.frame()


async def test_a_quiet_stream_is_kept_open_by_comments(
    served: Served, mount: Mount, path: str, store: MemoryStore
) -> None:
    served.app = mount.build(Inbox(store, SseHub(heartbeat=0.01)))
    async with served.stream(path) as stream:
        await stream.frame()
        assert await stream.frames(2) == [b":\n\n"] * 2


@pytest.mark.parametrize("make_hub", [lambda: SseHub(streams_per_recipient=1), lambda: SseHub(streams=1), lambda: None])
async def test_past_the_cap_or_without_a_hub_a_stream_degrades_to_polling(
    served: Served, mount: Mount, path: str, store: MemoryStore, user: Recipient, make_hub: Any
) -> None:
    inbox = Inbox(store, make_hub())
    await inbox.send(user, "t")
    served.app = mount.build(inbox)
    async with served.stream(path) as held, served.stream(path) as stream:
        await held.frame()
        assert stream.status == 200
        count, end = await stream.frames(2)
        assert re.fullmatch(rb'event: notification\nid: \d+\nretry: 30000\ndata: \{"count":1\}\n\n', count)
        assert end == b""


async def test_a_response_is_complete_when_its_lifetime_ends_or_its_hub_is_closed(
    served: Served, mount: Mount, path: str, store: MemoryStore
) -> None:
    hub = SseHub(lifetime=0.05)
    served.app = mount.build(Inbox(store, hub))
    async with served.stream(path) as stream:
        await stream.frame()
        while (frame := await stream.frame()) == b":\n\n":
            pass
        assert frame == b""

    hub = SseHub()
    served.app = mount.build(Inbox(store, hub))
    async with served.stream(path) as stream:
        await stream.frame()
        hub.close()
        assert await stream.frame() == b""
    async with served.stream(path) as stream:
        assert b'{"count":0}' in await stream.frame()
        assert await stream.frame() == b""


async def test_it_ends_when_its_client_leaves(served: Served, path: str, hub: SseHub) -> None:
    async with served.stream(path) as stream:
        await stream.frame()
        assert hub.stats().streams == 1
    await served.idle()
    assert hub.stats().streams == 0
    assert hub.stats().ended == {"left": 1}


async def test_a_client_that_does_not_read_is_dropped_and_delays_no_other(
    served: Served, path: str, hub: SseHub, inbox: Inbox, user: Recipient
) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    _, stuck = await asyncio.open_connection(host, int(port), limit=1024)
    stuck.write(f"GET {path} HTTP/1.1\r\nhost: test\r\nx-user: 42\r\n\r\n".encode())
    async with served.stream(path) as stream, asyncio.timeout(60):
        await stream.frame()
        while "backlog" not in hub.stats().ended:
            await inbox.send_live(user, "t", {"text": "x" * 60_000})
            assert (await stream.frame()).startswith(b"event: notification\n")
    await served.idle()
    assert hub.stats().streams == 0
    assert hub.stats().ended == {"backlog": 1, "left": 1}
    stuck.close()


async def test_a_server_that_never_reports_a_disconnect_does_not_cause_a_busy_loop(
    inbox: Inbox, hub: SseHub, user: Recipient
) -> None:
    """aiohttp-asgi's `receive` gives the empty body at once, each time; its `send` fails once the client has left."""
    received_calls = 0
    sent: asyncio.Queue[bytes] = asyncio.Queue()
    left = False

    async def receive() -> dict[str, Any]:
        nonlocal received_calls
        received_calls += 1
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if left:
            raise ConnectionResetError
        if message["type"] == "http.response.body":
            sent.put_nowait(message["body"])

    scope = {"type": "http", "method": "GET", "http_version": "1.1", "headers": []}
    async with asyncio.timeout(60):
        serving = asyncio.create_task(StreamResponse(inbox, user)(scope, receive, send))
        assert b'"count":0' in await sent.get()
        await inbox.send(user, "t")
        assert b'"type":"t"' in await sent.get()
        assert received_calls < 5
        left = True
        await inbox.send(user, "t")
        with pytest.raises(ConnectionResetError):
            await serving
    assert hub.stats().streams == 0
