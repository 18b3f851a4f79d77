"""Other processes of the same application: `python -m tests.backplane.processes <task> <arguments as JSON>`."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from notistore import Inbox, Recipient, SseHub
from notistore.errors import StoreError
from notistore.hub.events import Event
from notistore.sync import SyncInbox

from .kinds import SECRET, backplane, make
from .reading import DONE

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def process(task: Callable[..., object], *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a task in a process. At the end of the block it must exit with success by itself; a server is terminated.

    A server may also have been stopped within the block; its exit code is not checked then.
    """
    command = (sys.executable, "-m", __name__, task.__name__, json.dumps(arguments))
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    expected: int | None = -signal.SIGKILL if task is store_and_be_killed else 0
    try:
        yield running
    finally:
        if task is serve:
            expected = running.returncode
            if expected is None:
                running.terminate()
                expected = -signal.SIGTERM  # which uvicorn raises anew once it has shut down
        try:
            async with asyncio.timeout(60):
                code = await running.wait()
        except TimeoutError:
            running.kill()
            code = await running.wait()
    assert code == expected, f"{task.__name__} ended with {code}"


async def publish_numbers(kind: str, url: str, prefix: str, ids: list[str], rounds: int) -> None:
    """Publish 0, 1, 2, ... to each recipient, each in an iteration of the event loop of its own, then DONE."""
    async with backplane(kind, url, prefix) as plane, SseHub(plane, secret=SECRET) as hub:
        for number in range(rounds):
            for id in ids:
                hub.publish(Recipient(id), Event("number", number))
            await asyncio.sleep(0)
        for id in ids:
            hub.publish(Recipient(id), DONE)


def send_and_exit(kind: str, url: str, prefix: str, database: str, id: str) -> None:
    """A worker: blocking code that exits right after its send."""
    from sqlalchemy.ext.asyncio import create_async_engine

    from notistore_sqlalchemy import SQLAlchemyStore

    engine = create_async_engine(database)
    plane, close = make(kind, url, prefix)
    with SyncInbox(Inbox(SQLAlchemyStore(engine), SseHub(plane, secret=SECRET))) as inbox:
        inbox.send(Recipient(id), "report.ready", {"report": 7})
        inbox.run(finish(engine.dispose, close))


async def finish(*closing: Callable[[], Awaitable[None]]) -> None:
    for close in closing:
        await close()


def send_and_exit_without_a_loop(kind: str, url: str, prefix: str, database: str, id: str) -> None:
    """The same over a sync store, as in a WSGI application."""
    from sqlalchemy import create_engine

    from notistore_sqlalchemy import SyncSQLAlchemyStore

    engine = create_engine(database.replace("+aiosqlite", ""))
    plane, _ = make(kind, url, prefix)
    with SyncInbox(SyncSQLAlchemyStore(engine), SseHub(plane, secret=SECRET)) as inbox:
        inbox.send(Recipient(id), "report.ready", {"report": 7})
    engine.dispose()


def exit_without_closing(kind: str, url: str, prefix: str) -> None:
    """Event loops that end without closing their hub, each a moment later."""

    async def main(turns: int) -> None:
        plane, _ = make(kind, url, prefix)
        hub = await SseHub(plane, secret=SECRET).__aenter__()
        hub.publish(Recipient("42"), Event("hello"))
        for _ in range(turns):
            await asyncio.sleep(0.0005)

    for turns in range(20):
        asyncio.run(main(turns))


async def store_and_be_killed(kind: str, url: str, prefix: str, database: str, id: str) -> None:
    """Store a notification, and be killed before it is published."""
    from notistore_sqlalchemy import open_store

    async with (
        open_store(database) as store,
        backplane(kind, url, prefix) as plane,
        SseHub(plane, secret=SECRET) as hub,
    ):
        await Inbox(store, hub).send(Recipient(id), "test")
        os.kill(os.getpid(), signal.SIGKILL)  # before the hub's own task runs


async def serve(kind: str, url: str, prefix: str, database: str, lifetime: float = 600.0) -> None:
    """An application server, configured as in production; prints its address."""
    import socket

    import uvicorn
    from sqlalchemy.ext.asyncio import create_async_engine
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Mount, Route

    from notistore.web import inbox_app
    from notistore_sqlalchemy import SQLAlchemyStore

    engine = create_async_engine(database)
    plane, close = make(kind, url, prefix)
    hub = SseHub(plane, secret=SECRET, lifetime=lifetime)
    inbox = Inbox(SQLAlchemyStore(engine), hub)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with hub:
            yield
        await close()
        await engine.dispose()

    async def send(request: Request) -> Response:
        try:
            sent = await inbox.send(Recipient(request.path_params["id"]), "test")
        except StoreError as error:
            return Response(str(error), 503)
        return Response(sent.id)

    routes = [
        Route("/send/{id}", send, methods=["POST"]),
        Mount("/", inbox_app(inbox, lambda request: Recipient(request.headers["x-user"]))),
    ]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        config = uvicorn.Config(Starlette(routes=routes, lifespan=lifespan), log_level="error")
        await uvicorn.Server(config).serve(sockets=[listening])


async def send_continuously(
    kind: str, url: str, prefix: str, database: str, balancer: str, users: list[str], pause: float
) -> None:
    """Send to one user after the other, from this process and through the servers, and mark some of it read.

    It prints "sending" once it has sent to every user. A line on stdin makes it stop using the servers; it then prints
    "alone". At the end of stdin it stops, and prints the ids of the acknowledged sends by user.
    """
    import httpx

    from notistore_sqlalchemy import open_store

    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    alone, ended = asyncio.Event(), asyncio.Event()

    async def listen() -> None:
        await commands.readline()
        alone.set()
        await commands.read()
        ended.set()

    listening = asyncio.create_task(listen())
    acknowledged: dict[str, list[str]] = {user: [] for user in users}
    async with (
        open_store(database) as store,
        backplane(kind, url, prefix) as plane,
        SseHub(plane, secret=SECRET) as hub,
        httpx.AsyncClient(base_url=balancer) as client,
    ):
        inbox = Inbox(store, hub)
        reported_alone = False
        for number, user in enumerate(itertools.cycle(users)):
            if ended.is_set():
                break
            acknowledged[user].append((await inbox.send(Recipient(user), "test")).id)
            if number % 5 == 0:
                await inbox.mark_read(Recipient(user), random.choice(acknowledged[user]))
            if not alone.is_set():
                try:
                    answer = await client.post(f"/send/{user}", timeout=60)
                except httpx.TransportError:
                    pass  # whether it was stored is unknown
                else:
                    assert answer.status_code == 200, answer.text
                    acknowledged[user].append(answer.text)
            elif not reported_alone:
                reported_alone = True
                print("alone", flush=True)
            if number == len(users):
                print("sending", flush=True)
            await asyncio.sleep(pause)
    await listening
    print(json.dumps(acknowledged), flush=True)


if __name__ == "__main__":
    outcome = globals()[sys.argv[1]](*json.loads(sys.argv[2]))
    if isinstance(outcome, Awaitable):
        asyncio.run(outcome)  # type: ignore[arg-type]
