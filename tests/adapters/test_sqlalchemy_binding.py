"""SQLAlchemy's transactions, as far as the kit does not cover them: when they have ended, and which can be joined."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from notistore import (
    DuplicateNotification,
    Inbox,
    Notification,
    Recipient,
    SseHub,
    StoreError,
    Unsupported,
)
from notistore.errors import InvalidArgument
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore

from .test_sqlalchemy_conforms import with_driver, with_real_transactions

ME = Recipient("42")


def row() -> Notification:
    return Notification.new(ME, "test")


@pytest.fixture(params=["postgresql", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path / 'sync.db'}")
        with_real_transactions(engine)
    else:
        engine = create_engine(with_driver(request.getfixturevalue("postgres_url"), "postgresql+psycopg"))
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> SyncSQLAlchemyStore:
    store = SyncSQLAlchemyStore(engine)
    store.create_schema()
    return store


@pytest.fixture(params=["postgresql", "sqlite"])
async def async_engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    if request.param == "sqlite":
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'async.db'}")
        with_real_transactions(engine.sync_engine)
    else:
        engine = create_async_engine(with_driver(request.getfixturevalue("postgres_url"), "postgresql+asyncpg"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def async_store(async_engine: AsyncEngine) -> SQLAlchemyStore:
    store = SQLAlchemyStore(async_engine)
    await store.create_schema()
    return store


@pytest.fixture
def calls() -> list[str]:
    return []


def test_of_the_stores_own_calls_only_those_that_change_something_commit(
    engine: Engine, store: SyncSQLAlchemyStore, calls: list[str]
) -> None:
    event.listen(engine, "commit", lambda connection: calls.append("commit"))
    # PostgreSQL's drivers are in autocommit for a lone statement, which saves two round trips.
    commit = [] if engine.dialect.name == "postgresql" else ["commit"]
    reader = Recipient("reader")
    kept = Notification.new(reader, "test")
    store.insert(kept)
    assert calls == commit
    assert store.get(reader, kept.id) == kept
    assert store.page(reader) == [kept]
    assert store.count(reader) == store.unread_count(reader) == store.unread_counts([reader])[reader] == 1
    assert calls == commit
    assert store.delete(reader, kept.id) == 1
    assert calls == commit * 2


def test_a_session_inside_an_outer_transaction_waits_for_the_outer_commit(
    engine: Engine, store: SyncSQLAlchemyStore, calls: list[str]
) -> None:
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            store.bind(session).insert(row())
            store.bind(session).after_commit(lambda: calls.append("published"))
            session.commit()
            assert calls == []
        outer.commit()
        assert calls == ["published"]


def test_a_session_inside_an_outer_transaction_that_rolls_back_never_calls(
    engine: Engine, store: SyncSQLAlchemyStore, calls: list[str]
) -> None:
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            store.bind(session).insert(row())
            store.bind(session).after_commit(lambda: calls.append("published"))
            session.commit()
        outer.rollback()
        connection.execute(text("SELECT 1"))
        connection.commit()
    assert calls == []


def test_a_savepoint_opened_before_the_store_was_bound_takes_its_callbacks_along(
    engine: Engine, store: SyncSQLAlchemyStore, calls: list[str]
) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT 1"))
        savepoint = connection.begin_nested()
        bound = store.bind(connection)
        bound.insert(row())
        bound.after_commit(lambda: calls.append("rolled back"))
        savepoint.rollback()
    assert calls == []


def test_rolling_back_an_outer_savepoint_takes_back_what_a_released_inner_one_registered(
    engine: Engine, store: SyncSQLAlchemyStore, calls: list[str]
) -> None:
    with engine.begin() as connection:
        bound = store.bind(connection)
        bound.after_commit(lambda: calls.append("before"))
        outer = connection.begin_nested()
        with connection.begin_nested():
            bound.after_commit(lambda: calls.append("inner"))
        outer.rollback()
        bound.after_commit(lambda: calls.append("after"))
    assert calls == ["before", "after"]


def test_a_connection_given_back_without_a_commit_leaves_nothing_to_the_next_transaction(
    engine: Engine, store: SyncSQLAlchemyStore, calls: list[str]
) -> None:
    with engine.connect() as connection:
        store.bind(connection).insert(row())
        store.bind(connection).after_commit(lambda: calls.append("never"))
    with engine.begin() as connection:
        connection.execute(text("SELECT 1"))
    assert calls == []


def test_a_commit_that_the_database_refuses_never_calls(
    engine: Engine, store: SyncSQLAlchemyStore, calls: list[str]
) -> None:
    deferred = "REFERENCES parent DEFERRABLE INITIALLY DEFERRED"
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS parent (id integer PRIMARY KEY)"))
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS child (parent integer {deferred})"))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.connection.cursor().execute("PRAGMA foreign_keys = ON")
        connection.execute(text("INSERT INTO child VALUES (1)"))
        store.bind(connection).after_commit(lambda: calls.append("refused"))
        with pytest.raises(IntegrityError):
            connection.commit()
        connection.connection.rollback()  # SQLite's transaction is still open, which SQLAlchemy does not know
    with engine.begin() as connection:
        connection.execute(text("SELECT 1"))
    assert calls == []


def test_a_callback_that_fails_does_not_fail_the_commit_or_the_others(
    engine: Engine, store: SyncSQLAlchemyStore, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    kept = row()
    with Session(engine) as session, session.begin():
        bound = store.bind(session)
        bound.insert(kept)
        bound.after_commit(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        bound.after_commit(lambda: calls.append("second"))
    assert store.get(ME, kept.id) == kept
    assert calls == ["second"]
    assert "ZeroDivisionError" in caplog.text


def test_a_duplicate_among_many_leaves_none_of_them_and_the_transaction_usable(
    engine: Engine, store: SyncSQLAlchemyStore
) -> None:
    stored, new, later = row(), row(), row()
    store.insert(stored)
    with Session(engine) as session, session.begin():
        bound = store.bind(session)
        with pytest.raises(DuplicateNotification, match=stored.id):
            bound.insert_many([new, stored])
        bound.insert_many([later])
    assert (store.get(ME, new.id), store.get(ME, later.id)) == (None, later)


def test_a_scoped_session_is_joined_like_the_session_it_stands_for(engine: Engine, store: SyncSQLAlchemyStore) -> None:
    scoped = scoped_session(sessionmaker(engine))
    kept = row()
    store.bind(scoped).insert(kept)
    scoped.commit()
    scoped.remove()
    assert store.get(ME, kept.id) == kept


def test_a_session_for_several_databases_uses_the_one_with_the_table(
    engine: Engine, store: SyncSQLAlchemyStore
) -> None:
    kept = row()
    elsewhere = create_engine("sqlite://")
    with Session(elsewhere, binds={store.table: engine}) as session, session.begin():
        store.bind(session).insert(kept)
    assert store.get(ME, kept.id) == kept


def test_a_two_phase_transaction_is_joined_but_reports_no_commit(postgres_url: str, calls: list[str]) -> None:
    engine = create_engine(with_driver(postgres_url, "postgresql+psycopg"))
    store = SyncSQLAlchemyStore(engine)
    store.create_schema()
    with engine.connect() as connection:
        transaction = connection.begin_twophase()
        store.bind(connection).insert(row())
        with pytest.raises(Unsupported, match="two-phase"):
            store.bind(connection).after_commit(lambda: calls.append("never"))
        transaction.rollback()
    engine.dispose()


@pytest.mark.parametrize("what", [None, "session", object()])
def test_what_is_no_session_is_refused(store: SyncSQLAlchemyStore, async_store: SQLAlchemyStore, what: object) -> None:
    with pytest.raises(InvalidArgument, match="expected a Session or a Connection"):
        store.bind(what)
    with pytest.raises(InvalidArgument, match="expected an AsyncSession or an AsyncConnection"):
        async_store.bind(what)


async def test_a_sync_session_for_an_async_store_is_refused_and_vice_versa(
    engine: Engine, store: SyncSQLAlchemyStore, async_engine: AsyncEngine, async_store: SQLAlchemyStore
) -> None:
    with Session(engine) as session, pytest.raises(InvalidArgument, match="SyncSQLAlchemyStore"):
        async_store.bind(session)
    async with AsyncSession(async_engine) as session:
        with pytest.raises(InvalidArgument, match="AsyncSession"):
            store.bind(session)
    with pytest.raises(InvalidArgument, match="SyncSQLAlchemyStore"):
        SQLAlchemyStore(engine)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="SQLAlchemyStore"):
        SyncSQLAlchemyStore(async_engine)  # type: ignore[arg-type]


async def test_after_commit_before_anything_was_done_says_so(
    async_engine: AsyncEngine, async_store: SQLAlchemyStore, calls: list[str]
) -> None:
    await async_engine.dispose()
    async with AsyncSession(async_engine) as session:
        bound = async_store.bind(session)
        with pytest.raises(StoreError, match="joined a transaction yet"):
            bound.after_commit(lambda: calls.append("never"))
        await bound.insert(row())
        bound.after_commit(lambda: calls.append("published"))
        await session.commit()
    assert calls == ["published"]
    assert async_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_an_inbox_bound_to_a_session_publishes_once_its_transaction_has_committed(
    async_engine: AsyncEngine, async_store: SQLAlchemyStore
) -> None:
    hub = SseHub(heartbeat=None)
    inbox = Inbox(async_store, hub)
    sessions = async_scoped_session(async_sessionmaker(async_engine), scopefunc=lambda: 1)
    async with hub.subscribe(ME) as stream:
        session = sessions()
        sent = await inbox.bind(sessions).send(ME, "kept")
        async with session.begin_nested() as savepoint:
            await inbox.bind(session).send(ME, "dropped")
            await savepoint.rollback()
        assert hub.stats().published == 0
        await session.commit()
        assert hub.stats().published == 1
        assert sent.id.encode() in await anext(stream)
    await sessions.remove()
    assert [kept.type for kept in await inbox.page(ME)][:1] == ["kept"]


def test_a_transaction_whose_error_the_application_swallowed_never_calls(postgres_url: str, calls: list[str]) -> None:
    """PostgreSQL answers the COMMIT of an aborted transaction with ROLLBACK, and drivers raise no error."""
    engine = create_engine(with_driver(postgres_url, "postgresql+psycopg"))
    store = SyncSQLAlchemyStore(engine)
    store.create_schema()
    lost = row()
    with engine.connect() as connection:
        store.bind(connection).insert(lost)
        store.bind(connection).after_commit(lambda: calls.append("published"))
        with suppress(DBAPIError):
            connection.execute(text("SELECT * FROM there_is_no_such_table"))
        connection.commit()
    assert (store.get(ME, lost.id), calls) == (None, [])
    engine.dispose()


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg"])
async def test_the_same_for_an_async_session(driver: str, postgres_url: str, calls: list[str]) -> None:
    engine = create_async_engine(with_driver(postgres_url, driver))
    store = SQLAlchemyStore(engine)
    await store.create_schema()
    lost = row()
    async with AsyncSession(engine) as session:
        bound = store.bind(session)
        await bound.insert(lost)
        bound.after_commit(lambda: calls.append("published"))
        with suppress(DBAPIError):
            await session.execute(text("SELECT * FROM there_is_no_such_table"))
        await session.commit()
    assert (await store.get(ME, lost.id), calls) == (None, [])
    await engine.dispose()


async def test_an_error_shows_no_value_of_the_row(async_engine: AsyncEngine, async_store: SQLAlchemyStore) -> None:
    secret = Notification.new(Recipient("who-marker", tenant="tenant-marker"), "test", {"link": "data-marker"})
    await async_store.insert(secret)
    async with async_engine.begin() as connection:
        await connection.execute(text("ALTER TABLE notistore_notifications RENAME TO elsewhere"))
    try:
        with pytest.raises(StoreError) as raised:
            await async_store.insert(secret)
    finally:
        async with async_engine.begin() as connection:
            await connection.execute(text("ALTER TABLE elsewhere RENAME TO notistore_notifications"))
    assert "marker" not in "".join(traceback.format_exception(raised.value))
