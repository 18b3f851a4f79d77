"""PostgresBackplane: messages longer than NOTIFY's payloads, channels shared with others, connections that are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

asyncpg = pytest.importorskip("asyncpg")

from notistore import Inbox, Recipient, SseHub  # noqa: E402
from notistore.errors import InvalidArgument  # noqa: E402
from notistore.hub.events import REFETCH, Event  # noqa: E402
from notistore_postgres import PostgresBackplane, backplane  # noqa: E402
from notistore_postgres.payloads import Joiner, Splitter  # noqa: E402

from .conftest import prefix  # noqa: E402
from .kinds import SECRET  # noqa: E402
from .reading import DONE, frame, until, until_done  # noqa: E402

USER = Recipient("42")


@pytest.fixture
async def raw(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own to the same database."""
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


async def test_messages_of_every_length_arrive_unchanged(postgres_url: str) -> None:
    messages = [bytes([n % 256]) * n for n in (0, 1, 5_900, *range(5_915, 5_935), 11_840, 11_860, 300_000, 3_000_000)]
    received: list[bytes] = []
    complete = asyncio.Event()

    def receive(key: str, message: bytes) -> None:
        received.append(message)
        if len(received) == 2 * len(messages):
            complete.set()

    plane = PostgresBackplane(postgres_url, prefix=prefix())
    await plane.open(receive, lambda: None)
    await plane.subscribe(["a key"])
    await plane.publish([("a key", message) for message in messages + messages])
    async with asyncio.timeout(60):
        await complete.wait()
    assert received == messages + messages
    await plane.close()


def test_a_message_with_a_missing_part_is_reported_as_a_gap() -> None:
    received: list[bytes] = []
    gaps: list[None] = []
    joiner = Joiner(lambda key, message: received.append(message), lambda: gaps.append(None))
    splitter = Splitter()
    long = list(splitter.split("key", b"x" * 20_000))
    for payload in [*long[:1], *long[2:], *splitter.split("key", b"whole"), *long[1:], *long]:
        joiner.add(payload)
    assert (received, len(gaps)) == ([b"whole", b"x" * 20_000], 2)


async def test_other_programs_notifications_on_its_channels_are_ignored(
    postgres_url: str, raw: asyncpg.Connection
) -> None:
    name = prefix()
    async with (
        SseHub(PostgresBackplane(postgres_url, channels=1, prefix=name), secret=SECRET) as hub,
        SseHub(PostgresBackplane(postgres_url, channels=1, prefix=name), secret=SECRET) as other,
        hub.subscribe(USER) as stream,
    ):
        for payload in ("", "hello", "a b c d", "a 0 0 !", "a 0 0 Zm9v", "a 0 0 /w==", "a -1 x y", "{}"):
            await raw.execute("SELECT pg_notify($1, $2)", f"{name}_0", payload)
        other.publish(USER, DONE)
        assert await until_done(stream) == []


async def test_connections_are_its_own_and_may_be_cut(postgres_url: str, raw: asyncpg.Connection) -> None:
    name = prefix()

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(postgres_url, server_settings={"application_name": name})

    async with (
        SseHub(PostgresBackplane(connect, prefix=name), secret=SECRET) as hub,
        SseHub(PostgresBackplane(connect, prefix=name), secret=SECRET) as other,
        hub.subscribe(USER) as stream,
    ):
        other.publish(USER, DONE)
        await until_done(stream)
        mine = "FROM pg_stat_activity WHERE application_name = $1"
        assert await raw.fetchval(f"SELECT count(*) {mine}", name) == 3  # the first has published nothing
        await raw.execute(f"SELECT pg_terminate_backend(pid) {mine}", name)
        await until(stream, REFETCH.encode())
        other.publish(USER, Event("found"))
        await other.flush()
        other.publish(USER, DONE)
        await until_done(stream)
        assert hub.stats().gaps >= 1
    async with asyncio.timeout(60):
        while await raw.fetchval(f"SELECT count(*) {mine}", name):
            pass


async def test_nothing_is_notified_inside_a_transaction_of_the_applications(empty_postgres_url: str) -> None:
    """Its commit would take the lock that all commits with a NOTIFY share, and its rollback what others were sent."""
    pytest.importorskip("sqlalchemy")
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    from notistore_sqlalchemy import SQLAlchemyStore

    name = prefix()
    engine = create_async_engine(empty_postgres_url.replace("postgresql:", "postgresql+asyncpg:"))
    statements: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *received: statements.append(received[2]))
    store = SQLAlchemyStore(engine)
    await store.create_schema()
    async with (
        SseHub(PostgresBackplane(empty_postgres_url, prefix=name), secret=SECRET) as hub,
        SseHub(PostgresBackplane(empty_postgres_url, prefix=name), secret=SECRET) as other,
        other.subscribe(USER) as stream,
    ):
        inbox = Inbox(store, hub)
        for end in ("rollback", "commit"):
            async with AsyncSession(engine) as session:
                await inbox.bind(session).send(USER, end)
                hub.publish(USER, Event("before", end))
                await hub.flush()
                await getattr(session, end)()
        hub.publish(USER, DONE)
        before, same, sent = await until_done(stream)
    await engine.dispose()
    assert [before, same] == [frame(Event("before", end)) for end in ("rollback", "commit")]
    assert b'"type":"commit"' in sent
    assert any("INSERT" in statement for statement in statements)
    assert not any("notify" in statement.lower() for statement in statements)


async def test_a_channel_is_left_with_the_last_of_its_streams(postgres_url: str) -> None:
    connections: list[asyncpg.Connection] = []

    async def connect() -> asyncpg.Connection:
        connections.append(await asyncpg.connect(postgres_url))
        return connections[-1]

    async def listened_to() -> int:
        return len(await connections[0].fetch("SELECT pg_listening_channels()"))

    plane = PostgresBackplane(connect, prefix=prefix())
    await plane.open(lambda key, message: None, lambda: None)
    keys = [str(n) for n in range(1000)]
    await plane.subscribe(keys)
    assert await listened_to() == 64
    await plane.unsubscribe(keys[1:])
    assert await listened_to() == 1
    await plane.close()


async def test_many_channels_may_take_longer_than_one_reply(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Distant(asyncpg.Connection):  # type: ignore[misc]
        async def add_listener(self, channel: str, callback: object) -> None:
            await asyncio.sleep(0.05)
            await super().add_listener(channel, callback)

    received: list[str] = []
    complete = asyncio.Event()

    def receive(key: str, message: bytes) -> None:
        received.append(key)
        if len(received) == len(keys):
            complete.set()

    monkeypatch.setattr(backplane, "_ANSWER_TIMEOUT", 1.0)
    plane = PostgresBackplane(
        lambda: asyncpg.connect(postgres_url, connection_class=Distant), channels=1_000, prefix=prefix()
    )
    keys = [str(n) for n in range(50)]
    await plane.open(receive, lambda: None)
    await plane.subscribe(keys)
    await plane.publish([(key, b"") for key in keys])
    async with asyncio.timeout(60):
        await complete.wait()
    assert received == keys
    await plane.close()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"connect": "postgresql+asyncpg://localhost/app"}, "no driver in it"),
        ({"connect": "postgresql://localhost/app", "channels": 0}, "from 1 to 10,000"),
        ({"connect": "postgresql://localhost/app", "prefix": "Not One"}, "a-z, 0-9 and _"),
    ],
)
def test_invalid_options_are_refused_at_once(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        PostgresBackplane(**wrong)  # type: ignore[arg-type]
