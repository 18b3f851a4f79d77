"""SyncInbox, over sync stores and over an async inbox."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest

from notistore import (
    Actor,
    Inbox,
    InvalidArgument,
    InvalidNotification,
    MemoryStore,
    Notification,
    Recipient,
    SseHub,
    Unsupported,
)
from notistore.hub import Subscription
from notistore.sync import SyncInbox
from notistore_sqlite import SyncSQLiteStore

from .backplane.processes import ROOT, process, serve
from .core.eventstream import parse
from .core.memory_backplane import MemoryBackplane
from .sync_worker import KEY, STAGES

ADA, BOB = Recipient("ada"), Recipient("bob", tenant="acme")


def over_an_async_inbox(folder: Path, request: pytest.FixtureRequest) -> Iterator[SyncInbox]:
    from sqlalchemy.ext.asyncio import create_async_engine

    from notistore_sqlalchemy import SQLAlchemyStore

    engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/inbox.db")
    store = SQLAlchemyStore(engine)
    with SyncInbox(Inbox(store)) as inbox:
        inbox.run(store.create_schema())
        yield inbox
        inbox.run(engine.dispose())


def over_sqlalchemy(folder: Path, request: pytest.FixtureRequest) -> Iterator[SyncInbox]:
    from sqlalchemy import create_engine

    from notistore_sqlalchemy import SyncSQLAlchemyStore

    engine = create_engine(f"sqlite:///{folder}/inbox.db")
    store = SyncSQLAlchemyStore(engine)
    store.create_schema()
    yield SyncInbox(store)
    engine.dispose()


def over_peewee(folder: Path, request: pytest.FixtureRequest) -> Iterator[SyncInbox]:
    from peewee import SqliteDatabase

    from notistore_peewee import SyncPeeweeStore

    store = SyncPeeweeStore(SqliteDatabase(f"{folder}/inbox.db", pragmas={"journal_mode": "wal"}))
    store.create_schema()
    yield SyncInbox(store)


def over_django(folder: Path, request: pytest.FixtureRequest) -> Iterator[SyncInbox]:
    from .django_project import databases, sqlite

    alias = f"sync_{uuid.uuid4().hex}"
    with databases(**{alias: sqlite(folder / "inbox.db")}):
        from notistore_django import SyncDjangoStore

        store = SyncDjangoStore(alias)
        store.create_schema()
        yield SyncInbox(store)


def over_redis(folder: Path, request: pytest.FixtureRequest) -> Iterator[SyncInbox]:
    from redis import Redis

    from notistore_redis import SyncRedisStore

    prefix = f"{request.getfixturevalue('redis_prefix')}{uuid.uuid4().hex}:"
    with Redis.from_url(request.getfixturevalue("redis_url")) as client:
        yield SyncInbox(SyncRedisStore(client, prefix=prefix))


@pytest.fixture(params=[over_an_async_inbox, over_sqlalchemy, over_peewee, over_django, over_redis])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SyncInbox]:
    yield from request.param(tmp_path, request)


def test_every_verb_does_what_the_inbox_verb_of_its_name_does(inbox: SyncInbox) -> None:
    first = inbox.send(ADA, "invoice.paid", {"invoice_id": 7}, actor=Actor("grace"), trace_id="t-1")
    inbox.send(ADA, "export", {"progress": 60}, key="export:9")
    bar = inbox.send(ADA, "export", {"progress": 100}, key="export:9", live={}, publish=False)
    sent = inbox.send_many([ADA, BOB, ADA], "welcome")
    inbox.send_live(ADA, "typing")
    inbox.publish(bar)

    assert (first.actor, first.trace_id, bar.version) == (Actor("grace"), "t-1", 2)
    assert [row.recipient for row in sent] == [ADA, BOB]
    assert inbox.get(ADA, first.id) == first
    assert inbox.get(ADA, key="export:9") == bar
    assert inbox.get(BOB, first.id) is None
    newest_first = sorted([first, bar, sent[0]], key=lambda row: row.cursor, reverse=True)
    assert list(inbox.page(ADA)) == newest_first
    assert list(inbox.page(ADA, before=newest_first[0].cursor, limit=1)) == newest_first[1:2]
    assert list(inbox.page(ADA, types=["export"])) == [bar]
    assert (inbox.count(ADA), inbox.count(ADA, types=["export"])) == (3, 1)
    assert (inbox.unread_count(ADA), inbox.unread_count(ADA, at_most=2)) == (3, 2)
    assert inbox.unread_counts([ADA, BOB]) == {ADA: 3, BOB: 1}

    assert (inbox.mark_read(ADA, first.id), inbox.mark_read(ADA, first.id), inbox.mark_read(BOB, bar.id)) == (1, 0, 0)
    assert list(inbox.page(ADA, unread_only=True, offset=1)) == [row for row in newest_first if row != first][1:]
    assert inbox.mark_read(ADA, key="export:9") == 1
    assert inbox.mark_unread(ADA, key="export:9") == 1
    assert inbox.mark_all_read(ADA, types=["export"]) == 1
    assert inbox.mark_all_read(ADA, seen=sent[0].updated_at) == 1
    assert inbox.delete(ADA, first.id, sent[1].id, key="export:9") == 2
    assert (inbox.count(ADA), inbox.count(BOB)) == (1, 1)
    with pytest.raises(InvalidNotification, match="data"):
        inbox.send(ADA, "t", {"nan": float("nan")})


def test_threads_share_it(inbox: SyncInbox) -> None:
    """Two of them raise the version of one row while others add, count and mark rows of their own."""

    def sends(thread: int) -> int:
        for n in range(10):
            inbox.send(ADA, "hot", {"from": [thread, n]}, key="hot")
            inbox.send(Recipient(f"own-{thread}"), "own")
        return inbox.mark_all_read(Recipient(f"own-{thread}"))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(sends, range(4))) == [10] * 4
    [hot] = inbox.page(ADA)
    assert (hot.version, inbox.unread_count(ADA)) == (40, 1)


@contextmanager
def sqlalchemy_host(folder: Path) -> Iterator[tuple[Any, Any]]:
    """A sync store, and a factory of the host application's sessions."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.orm import Session

    from notistore_sqlalchemy import SyncSQLAlchemyStore

    engine = create_engine(f"sqlite:///{folder}/host.db")
    event.listen(engine, "connect", lambda connection, record: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    yield SyncSQLAlchemyStore(engine), lambda: Session(engine)
    engine.dispose()


@pytest.fixture
async def stream() -> AsyncIterator[Subscription]:
    """Ada's, on a hub of this event loop."""
    async with SseHub() as hub, hub.subscribe(ADA) as stream:
        yield stream


async def test_bound_to_a_session_a_send_is_published_after_the_commit_and_never_after_a_rollback(
    tmp_path: Path, stream: Subscription
) -> None:
    with sqlalchemy_host(tmp_path) as (store, new_session):
        store.create_schema()
        inbox = SyncInbox(store, stream._hub)

        def view() -> None:
            with new_session() as session:
                inbox.bind(session).send(ADA, "rolled back")
                session.rollback()
                bound = inbox.bind(session)
                bound.send(ADA, "committed")
                savepoint = session.begin_nested()
                bound.send(ADA, "in a savepoint rolled back")
                savepoint.rollback()
                inbox.send_live(ADA, "before the commit")
                session.commit()
            inbox.send_live(ADA, "end")

        await asyncio.to_thread(view)
        received = b""
        async with asyncio.timeout(60):
            while b'"end"' not in received:
                received += await anext(stream)
        assert [frame.json["type"] for frame in parse(received)] == ["before the commit", "committed", "end"]
        assert [row.type for row in inbox.page(ADA)] == ["committed"]


def test_an_async_inbox_cannot_be_bound_to_a_session_of_this_thread() -> None:
    with SyncInbox(Inbox(MemoryStore())) as inbox, pytest.raises(Unsupported, match="sync store"):
        inbox.bind(object())


def test_over_a_sync_store_it_takes_the_options_of_an_inbox(tmp_path: Path) -> None:
    from sqlalchemy import create_engine

    from notistore_sqlalchemy import SyncSQLAlchemyStore

    engine = create_engine(f"sqlite:///{tmp_path}/inbox.db")
    store = SyncSQLAlchemyStore(engine)
    store.create_schema()
    at = datetime(2030, 1, 1, tzinfo=UTC)
    inbox = SyncInbox(store, max_data_bytes=20, max_limit=1, clock=lambda: at)
    assert inbox.send(ADA, "a").created_at == at
    with pytest.raises(InvalidNotification, match="data"):
        inbox.send(ADA, "a", {"text": "x" * 20})
    with pytest.raises(InvalidArgument, match="limit"):
        inbox.page(ADA, limit=2)
    assert inbox.publish_failures == 0
    engine.dispose()


def test_over_an_async_inbox_it_takes_no_options_of_an_inbox() -> None:
    with pytest.raises(InvalidArgument, match="max_limit"):
        SyncInbox(Inbox(MemoryStore()), max_limit=1)
    with pytest.raises(InvalidArgument, match="hub"):
        SyncInbox(Inbox(MemoryStore()), SseHub())


def test_an_async_store_is_refused_with_what_to_write() -> None:
    with pytest.raises(InvalidArgument, match=r"the async <.*MemoryStore .*: use SyncInbox\(Inbox\(store\)\)"):
        SyncInbox(MemoryStore())  # type: ignore[arg-type]


def test_it_has_every_method_of_an_inbox_with_its_signature_and_docstring() -> None:
    for name, method in inspect.getmembers(Inbox, inspect.isfunction):
        if not name.startswith("_") and name != "bind":
            blocking = getattr(SyncInbox, name)
            assert not inspect.iscoroutinefunction(blocking), name
            assert (blocking.__doc__, inspect.signature(blocking)) == (method.__doc__, inspect.signature(method))


def test_a_method_that_a_subclass_of_inbox_replaces_is_the_one_that_is_called() -> None:
    class Doubled(Inbox):
        async def count(self, recipient: Recipient, *, types: Iterable[str] | None = None) -> int:
            return 2 * await super().count(recipient, types=types)

    with SyncInbox(Doubled(MemoryStore())) as inbox:
        inbox.send(ADA, "t")
        assert inbox.count(ADA) == 2


class HangingStore(MemoryStore):
    """Inserts of the type "stuck" wait until they are cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.began = lambda: None
        self.cancelled = threading.Event()

    async def insert(self, notification: Notification) -> None:
        if notification.type == "stuck":
            self.began()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        await super().insert(notification)


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_a_call_that_is_interrupted_is_cancelled_and_the_next_one_works() -> None:
    store = HangingStore()
    store.began = lambda: os.kill(os.getpid(), signal.SIGUSR1)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with SyncInbox(Inbox(store)) as inbox:
            with pytest.raises(KeyboardInterrupt):
                inbox.send(ADA, "stuck")
            assert store.cancelled.wait(5)
            inbox.send(ADA, "next")
            assert [row.type for row in inbox.page(ADA)] == ["next"]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_closing_ends_the_thread_and_it_may_be_used_again() -> None:
    others = set(threading.enumerate())

    def threads() -> list[str]:
        return [thread.name for thread in set(threading.enumerate()) - others]

    inbox = SyncInbox(Inbox(MemoryStore()))
    for _ in range(2):
        inbox.send(ADA, "t")
        assert threads() == ["notistore-sync"]
        inbox.close()
        inbox.close()
        assert threads() == []
    assert inbox.count(ADA) == 2


FORKS = """
import os
from notistore import Inbox, MemoryStore, Recipient
from notistore.sync import SyncInbox
from notistore_sqlite import SyncSQLiteStore

inbox = SyncInbox(Inbox(MemoryStore()))
inbox.send(Recipient("42"), "of the parent")
child = os.fork()
if child == 0:
    inbox.send(Recipient("42"), "of the child")
    inbox.close()
    os._exit(inbox.count(Recipient("42")))
_, status = os.waitpid(child, 0)
inbox.send(Recipient("42"), "of the parent")
print(os.waitstatus_to_exitcode(status), inbox.count(Recipient("42")))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_worker_forked_from_a_process_that_has_used_it_has_a_thread_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["2", "2"], done.stderr


@asynccontextmanager
async def worker(*arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "tests.sync_worker", json.dumps(arguments)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield running
        assert running.stdin is not None
        running.stdin.close()
        async with asyncio.timeout(60):
            assert await running.wait() == 0
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def items(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    async for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


@pytest.mark.parametrize(("calls", "kind"), [("sync", "redis"), ("async", "postgres")])
async def test_a_worker_drives_a_progress_bar_while_an_asgi_process_streams_it(
    calls: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from notistore_sqlalchemy import open_store

    database = f"sqlite+aiosqlite:///{tmp_path}/inbox.db"
    async with open_store(database):
        pass  # creates the table
    prefix = f"sync_{uuid.uuid4().hex[:12]}_"
    parts = (kind, request.getfixturevalue(f"{kind}_url"), prefix, database)

    async with process(serve, *parts) as server, worker(calls, *parts, "ada") as running:
        assert server.stdout is not None
        assert running.stdin is not None
        address = (await server.stdout.readline()).decode().strip()
        async with (
            asyncio.timeout(60),
            httpx.AsyncClient(base_url=address, headers={"x-user": "ada"}) as client,
            client.stream("GET", "/notifications/stream") as stream,
        ):
            received = items(stream.aiter_lines())
            assert await anext(received) == {"count": 0}

            async def export(job: bytes) -> list[dict[str, Any]]:
                assert running.stdin is not None
                running.stdin.write(job)
                return [await anext(received) for _ in STAGES]

            async def badge() -> int:
                return (await client.get("/notifications/unread/count")).json()["count"]

            bar = await export(b"quiet\n")
            assert [item["data"]["progress"] for item in bar] == list(STAGES)
            assert [item["version"] for item in bar] == [1, 2, 3, 4, 5, 6]
            assert {(item["id"], item["key"], item["readAt"]) for item in bar} == {(bar[0]["id"], KEY, None)}
            assert await badge() == 1

            assert (await client.post(f"/notifications/{bar[0]['id']}/read")).status_code == 204
            read = await anext(received)
            assert read["notificationId"] == bar[0]["id"]
            again = await export(b"quiet\n")  # the progress restarts and the row stays read
            assert [item["data"]["progress"] for item in again] == list(STAGES)
            assert {item["readAt"] for item in again} == {read["readAt"]}
            assert await badge() == 0

            ringing = await export(b"ring\n")  # the same, and its last update makes it unread
            assert [item["readAt"] is None for item in ringing] == [False] * 5 + [True]
            assert (ringing[-1]["version"], await badge()) == (18, 1)


def test_an_inbox_that_was_closed_can_be_started_again(tmp_path: Path) -> None:
    plane = MemoryBackplane()
    store = SyncSQLiteStore(tmp_path / "inbox.db")
    store.create_schema()
    inbox = SyncInbox(store, SseHub(plane))
    for _ in range(2):
        with inbox:
            inbox.send(ADA, "t")
    store.close()
    assert (plane.published, inbox.publish_failures) == ([1, 1], 0)
