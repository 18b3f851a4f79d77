"""Each framework's example, as its docstring starts it on a real server, conforms to the wire format.

The web kit's results go into the report from which the table in docs/compatibility.md is made.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from notistore.web.websocket import RECONNECT
from notistore_conformance import Outcome
from notistore_conformance.api import check_blocking
from notistore_conformance.pytest_plugin.suites import PROPERTY
from notistore_conformance.web import Mount
from tests.web.served import HANDSHAKE
from tools.web_servers import Running, running

from .examples import EXAMPLES, FOLDER, Example

LIMIT = 20  # seconds; generous, for a busy machine
SHUTDOWN = 2  # seconds from SIGTERM to the exit of a server with an open stream
END = b"\r\n0\r\n\r\n"  # the last chunk of a complete response


def name_of(example: Example) -> str:
    return f"{example.path.stem}-{example.server}"


@asynccontextmanager
async def serving(example: Example) -> AsyncIterator[Running]:
    async with running(example.arguments, folder=FOLDER) as server:
        yield server


@pytest.fixture(scope="module", params=EXAMPLES, ids=name_of)
async def served(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Example, Running]]:
    """An example and its server, shared by all tests that do not stop it."""
    async with serving(request.param) as server:
        yield request.param, server


@asynccontextmanager
async def signed_in(server: Running, user: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is signed in as a user that no other test uses."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=LIMIT) as client:
        answer = await client.post("/login", json={"user": user})
        assert answer.status_code == 204, answer.text
        yield client


def cookie_of(client: httpx.AsyncClient) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


@asynccontextmanager
async def open_stream(
    server: Running, client: httpx.AsyncClient, *, websocket: bool = False
) -> AsyncIterator[asyncio.StreamReader]:
    """A stream or a WebSocket of the user, past its count. Its buffers are small: unread data soon stays with the
    server."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=65536)
    headers = {"host": "127.0.0.1", "cookie": cookie_of(client), **(HANDSHAKE if websocket else {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"GET /notifications/{'ws' if websocket else 'stream'} HTTP/1.1\r\n{lines}\r\n".encode())
    try:
        async with asyncio.timeout(LIMIT):
            assert (b" 101 " if websocket else b" 200 ") in await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(b'"count":0}}' if websocket else b"\n\n")
        yield reader
    finally:
        writer.transport.abort()


async def send(client: httpx.AsyncClient, title: str = "Hello") -> None:
    answer = await client.post("/send", json={"type": "greeting", "data": {"title": title}, "key": None})
    assert answer.status_code == 204, answer.text


async def test_the_web_kit_finds_that_it_conforms(
    served: tuple[Example, Running], request: pytest.FixtureRequest
) -> None:
    example, server = served
    async with signed_in(server, "ada") as ada, signed_in(server, "bob") as bob:
        identities = [{"cookie": cookie_of(client)} for client in (ada, bob)]
        mount = Mount(str(ada.base_url), identities, "/send", backend=example.versions)
        report = await asyncio.to_thread(check_blocking, "web", lambda: mount, name=str(example))
    assert report.conforms, f"{report}\n{server.log}"
    unsupported = [result.id for result in report.results if result.outcome is Outcome.UNSUPPORTED]
    assert bool(unsupported) is example.polls
    assert all(id.startswith("web/stream-") for id in unsupported)
    for result in report.results:
        found = {"about": asdict(report.about), "result": result.to_dict()}
        request.node.user_properties.append((PROPERTY, found))


async def test_a_user_signs_in_receives_and_signs_out(served: tuple[Example, Running]) -> None:
    example, server = served
    async with signed_in(server, "carol") as client:
        assert "<notistore-inbox" in (await client.get("/")).text
        if example.polls:
            await send(client)
            assert '{"count":1}' in (await client.get("/notifications/stream")).text
            assert (await client.post("/logout")).status_code == 204
        else:
            await receive_and_sign_out(server, client)
        assert (await client.get("/notifications")).status_code == 401
        assert (await client.post("/send", json={"type": "t", "data": {}, "key": None})).status_code == 401


async def receive_and_sign_out(server: Running, client: httpx.AsyncClient) -> None:
    async with open_stream(server, client) as stream, asyncio.timeout(LIMIT):
        await send(client, "Sent by a route")
        await stream.readuntil(b"Sent by a route")
        assert (await client.post("/logout")).status_code == 204
        await stream.readuntil(END)


async def test_another_s_notification_is_404(served: tuple[Example, Running]) -> None:
    _, server = served
    async with signed_in(server, "dora") as dora, signed_in(server, "emil") as emil:
        await send(dora)
        [item] = (await dora.get("/notifications")).json()["items"]
        answers = [
            await emil.post(f"/notifications/{item['id']}/read"),
            await emil.post(f"/notifications/{item['id']}/unread"),
            await emil.delete(f"/notifications/{item['id']}"),
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert (await dora.get("/notifications/unread/count")).json() == {"count": 1}


async def test_an_invalid_recipient_is_401(served: tuple[Example, Running]) -> None:
    async with signed_in(served[1], "u" * 200) as client:
        assert (await client.get("/notifications")).status_code == 401
        assert (await client.get("/notifications/notistore-inbox.js")).status_code == 200


@pytest.mark.parametrize("path", ["", "/unread", "/unread/count", "/stream", "/notistore-inbox.js"])
async def test_a_route_of_get_answers_head(served: tuple[Example, Running], path: str) -> None:
    async with signed_in(served[1], "hugo") as client:
        answer = await client.head(f"/notifications{path}")
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "body",
    ["content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}", "transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n"],
    ids=["not gzip", "no chunk"],
)
async def test_a_malformed_body_is_the_clients_error(served: tuple[Example, Running], body: str) -> None:
    _, server = served
    async with signed_in(server, "ines") as client, asyncio.timeout(LIMIT):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        headers = f"host: 127.0.0.1\r\ncookie: {cookie_of(client)}\r\nconnection: close\r\n"
        writer.write(f"PATCH /notifications/read HTTP/1.1\r\n{headers}{body}".encode())
        answer = await reader.read()
        writer.close()
    assert answer[9:10] in (b"4", b""), answer  # some servers only close the connection


@pytest.mark.parametrize(
    "body",
    ['content-length: 99\r\n\r\n{"ids": ["', 'transfer-encoding: chunked\r\n\r\na\r\n{"ids": ["\r\n'],
    ids=["sized", "chunked"],
)
async def test_a_client_may_leave_within_a_body(served: tuple[Example, Running], body: str) -> None:
    _, server = served
    before = server.log
    async with signed_in(server, "gwen") as client:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        headers = f"host: 127.0.0.1\r\ncookie: {cookie_of(client)}\r\n"
        writer.write(f"PATCH /notifications/read HTTP/1.1\r\n{headers}{body}".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await client.get("/notifications/unread/count")).json() == {"count": 0}
    assert "Traceback" not in server.log.removeprefix(before)


async def test_a_websocket_sends_the_same_events(served: tuple[Example, Running]) -> None:
    example, server = served
    address = f"ws://127.0.0.1:{server.port}/notifications/ws"
    async with signed_in(server, "finn") as client:
        handshake = connect(address, additional_headers={"cookie": cookie_of(client)}, proxy=None)
        if not example.websocket:
            with pytest.raises(InvalidHandshake):
                await handshake
            return
        for headers in ({}, {"cookie": cookie_of(client), "origin": "https://evil.example"}):
            with pytest.raises(InvalidStatus) as refused:
                await connect(address, additional_headers=headers, proxy=None)
            assert refused.value.response.status_code == 403
        async with handshake as socket, asyncio.timeout(LIMIT):
            assert json.loads(await socket.recv()) == {"event": "notification", "data": {"count": 0}}
            await send(client, "Sent by a route")
            assert json.loads(await socket.recv())["data"]["data"] == {"title": "Sent by a route"}
            await client.post("/logout")
            await socket.wait_closed()
            assert socket.close_code == RECONNECT


STREAMING = pytest.mark.parametrize("example", [example for example in EXAMPLES if not example.polls], ids=name_of)


@STREAMING
async def test_a_client_that_leaves_is_noticed(example: Example) -> None:
    async with serving(example) as server, signed_in(server, "ada") as client:
        async with open_stream(server, client):
            assert (await client.get("/status")).json() == {"streams": 1}
        async with asyncio.timeout(LIMIT):
            while (await client.get("/status")).json()["streams"]:
                await send(client)  # where only a write shows it


@STREAMING
async def test_sigterm_ends_an_open_stream_and_the_server_within_two_seconds(example: Example) -> None:
    took = []
    for _ in range(3):  # a busy machine can delay any one of them
        took.append(await seconds_from_sigterm_to_exit(example))
        if took[-1] < SHUTDOWN:
            return
    pytest.fail(f"{example}: ended {', '.join(f'{seconds:.1f}' for seconds in took)} s after SIGTERM")


async def seconds_from_sigterm_to_exit(example: Example) -> float:
    """With an open stream, and another connection of its client that is idle and kept alive."""
    async with (
        serving(example) as server,
        signed_in(server, "ada") as client,
        open_stream(server, client) as stream,
        asyncio.timeout(LIMIT),
    ):
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        await stream.readuntil(END)
        await server.process.wait()
        return time.monotonic() - began


@pytest.mark.parametrize(
    ("example", "websocket"),
    [
        pytest.param(example, websocket, id=f"{name_of(example)}{'-websocket' if websocket else ''}")
        for example in EXAMPLES
        if not example.blocks
        for websocket in (False, True)
        if example.websocket or not websocket
    ],
)
async def test_a_client_that_reads_nothing_is_dropped(example: Example, websocket: bool) -> None:
    async with (
        serving(example) as server,
        signed_in(server, "ada") as client,
        open_stream(server, client, websocket=websocket),
    ):
        async with asyncio.timeout(LIMIT):
            while (await client.get("/status")).json()["streams"]:
                await send(client, "x" * 60_000)
        await client.aclose()
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT):
            await server.process.wait()
