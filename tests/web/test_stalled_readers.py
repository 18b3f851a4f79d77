"""A client that stops reading delays no server's shutdown, and no other client's connection is closed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType

import httpx
import pytest

from notistore import Event, Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app
from notistore.web._connection import close_connection
from notistore.web.stream import close_deadline
from tools.web_servers import ASGI_SERVERS, running

from .served import HANDSHAKE, Served, until

READERS = 5
USER = Recipient("42")
UVICORN, HYPERCORN = ASGI_SERVERS["uvicorn"], ASGI_SERVERS["hypercorn"]
# granian 2.8.7 may hang after its last connection is closed: it waits for its own threads while it holds the GIL, and a
# thread that logs a failed write waits for the GIL. Its own option ends it then, long after what is tested here.
GRANIAN = [*ASGI_SERVERS["granian"], "--workers-kill-timeout=20"]
GUNICORN = ["gunicorn", "{app}", "--worker-class=uvicorn_worker.UvicornWorker", "--bind=127.0.0.1:{port}"]


@asynccontextmanager
async def stalled(port: int, path: str, headers: Mapping[str, str]) -> AsyncIterator[None]:
    """A reader of a stream or a WebSocket that takes no more than its first count."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
    lines = [f"{name}: {value}\r\n" for name, value in {"host": "test", "x-user": "42", **headers}.items()]
    writer.write(f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
    try:
        async with asyncio.timeout(60):
            await reader.readuntil(b'{"count":0}')
        yield
    finally:
        writer.transport.abort()


def established(port: int) -> int:
    """How many connections of clients to this local port are open on the server's side (proc_pid_net(5))."""
    with open("/proc/net/tcp") as table:
        next(table)
        rows = [line.split()[1:4] for line in table]
    return sum(local.endswith(f":{port:04X}") and state == "01" for local, _, state in rows)


async def shut_down(
    command: list[str], host: str, headers: Mapping[str, str] = MappingProxyType({}), *, path: str = "stream"
) -> float:
    """Seconds from SIGTERM until the server has closed the connections of readers that stopped. It then ends."""
    environment = {**os.environ, "NOTISTORE_HOST": host}
    async with (
        running(command, app="tests.web.stalled_host:app", env=environment) as server,
        AsyncExitStack() as readers,
    ):
        for _ in range(READERS):
            await readers.enter_async_context(stalled(server.port, f"/api/notifications/{path}", headers))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
            stats = (await client.post("/publish")).json()
            # daphne buffers everything, and a stream is ended there after so many bytes.
            assert stats == {"ended": {}, "streams": READERS} or command[0] == "daphne", stats
        assert established(server.port) >= READERS
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await until(lambda: not established(server.port))
            closed = time.monotonic()
            await server.process.wait()
        return closed - began


@pytest.mark.parametrize(
    ("command", "host"),
    [
        pytest.param(UVICORN, "fastapi", id="uvicorn, FastAPI"),
        pytest.param(UVICORN, "django", id="uvicorn, Django"),
        pytest.param(GUNICORN, "django", id="gunicorn, Django"),
        pytest.param(HYPERCORN, "fastapi", id="hypercorn, FastAPI"),
        pytest.param(HYPERCORN, "django", id="hypercorn, Django"),
        pytest.param(GRANIAN, "fastapi", id="granian, FastAPI"),
        pytest.param(GRANIAN, "django", id="granian, Django"),
    ],
)
async def test_a_server_ends_although_readers_take_nothing(command: list[str], host: str) -> None:
    """Left alone each waits over 40 s, gunicorn 30."""
    assert await shut_down(command, host) < 15


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([*UVICORN, "--ws=websockets"], id="uvicorn with websockets"),
        pytest.param([*UVICORN, "--ws=websockets-sansio"], id="uvicorn with websockets-sansio"),
        pytest.param([*UVICORN, "--ws=wsproto"], id="uvicorn with wsproto"),
        pytest.param(GUNICORN, id="gunicorn"),
        pytest.param(HYPERCORN, id="hypercorn"),
        pytest.param(GRANIAN, id="granian"),
        pytest.param(ASGI_SERVERS["daphne"], id="daphne"),
    ],
)
async def test_a_server_ends_although_websockets_take_nothing(command: list[str]) -> None:
    """Left alone most wait over 40 s, uvicorn with websockets 20 until a ping is not answered."""
    assert await shut_down(command, "fastapi", HANDSHAKE, path="ws") < 15


async def test_clients_that_abort_within_a_write_leave_no_stream() -> None:
    """On hypercorn, in Django, which may abandon the generator of a response that it was sending."""
    async with (
        running(HYPERCORN, app="tests.web.stalled_host:app", env={**os.environ, "NOTISTORE_HOST": "django"}) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client,
    ):
        async with AsyncExitStack() as readers:
            for _ in range(20):
                await readers.enter_async_context(stalled(server.port, "/api/notifications/stream", {}))
            assert (await client.post("/publish")).json() == {"ended": {}, "streams": 20}
        async with asyncio.timeout(60):
            while (stats := (await client.get("/stats")).json())["streams"]:  # noqa: ASYNC110 - the server only says so
                await asyncio.sleep(0.05)
        assert stats == {"ended": {"left": 20}, "streams": 0}


@pytest.mark.parametrize("headers", [{}, HANDSHAKE], ids=["stream", "WebSocket"])
async def test_a_connection_is_closed_whose_last_bytes_the_server_has_buffered(
    uvicorn_server: Served, headers: dict[str, str]
) -> None:
    """The task has written everything then, and uvicorn's shutdown would wait for the client to take it."""
    hub = SseHub(heartbeat=None)
    uvicorn_server.app = inbox_app(Inbox(MemoryStore(), hub), lambda _: USER, websocket=lambda _: USER)
    port = int(uvicorn_server.url.rpartition(":")[2])
    async with stalled(port, "/notifications/ws" if headers else "/notifications/stream", headers):
        [protocol] = uvicorn_server.connections
        connection: socket.socket = protocol.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        hub.publish(USER, Event("filler", "x" * 50_000))  # more than the kernel takes now, less than uvicorn buffers
        await until(lambda: protocol.transport.get_write_buffer_size() > 0)
        hub.close()
        await until(lambda: not uvicorn_server.connections)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([*UVICORN, "--timeout-graceful-shutdown=2"], id="uvicorn"),
        pytest.param([*GUNICORN, "--graceful-timeout=2"], id="gunicorn"),
        pytest.param([*ASGI_SERVERS["granian"], "--workers-kill-timeout=2"], id="granian"),
    ],
)
async def test_behind_a_proxy_it_ends_with_the_options_of_the_documentation(command: list[str]) -> None:
    await shut_down(command, "fastapi", {"x-forwarded-for": "127.0.0.1"})


async def test_the_connection_is_closed_although_the_server_cancels_the_task_first() -> None:
    """hypercorn does so, once its graceful timeout has passed, and then waits for the last byte to be sent."""
    hub = SseHub()
    stream = hub.subscribe(Recipient("42"))
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), "127.0.0.1", 0)
    async with server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        scope = {
            "http_version": "1.1",
            "client": writer.get_extra_info("sockname"),
            "server": writer.get_extra_info("peername"),
            "headers": [],
        }

        async def respond() -> None:
            async with close_deadline(stream, 0.05, scope=scope):
                await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(respond())
        await asyncio.sleep(0)
        hub.close()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await reader.read() == b""
        writer.close()
        (await accepted.get()).close()


async def test_no_other_connection_is_closed() -> None:
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), "127.0.0.1", 0)
    async with server, asyncio.timeout(60):
        clients = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in range(3)]
        scopes = [
            {
                "http_version": "1.1",
                "client": client.get_extra_info("sockname"),
                "server": client.get_extra_info("peername"),
                "headers": [],
            }
            for _, client in clients
        ]
        # It says that it comes from the third's address: a proxy would have put that into the scope too.
        forged = scopes[2] | {"headers": [(b"x-forwarded-for", b"%b:%d" % (b"127.0.0.1", scopes[2]["client"][1]))]}
        close_connection(forged)
        close_connection(scopes[1], if_unsent=True)  # its client has taken everything
        close_connection(scopes[0])
        assert await clients[0][0].read() == b""
        for writer in [await accepted.get() for _ in clients]:
            writer.write(b"still open")
            writer.close()
        assert [await reader.read() for reader, _ in clients] == [b"", b"still open", b"still open"]
        for _, client in clients:
            client.close()
