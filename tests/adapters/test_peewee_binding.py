"""Peewee's transactions, as far as the kit does not cover them: when they have ended, and which task they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peewee")

from peewee import PeeweeException, PostgresqlDatabase

from notistore import DuplicateNotification, Inbox, Notification, Recipient, SseHub, StoreError, Unsupported
from notistore.errors import InvalidArgument
from notistore_peewee import PeeweeStore, SyncPeeweeStore, notification_model

from .test_peewee_conforms import closing_all, database

ME = Recipient("42")
KINDS = ["sqlite", "postgresql", "mysql"]


def row() -> Notification:
    return Notification.new(ME, "test")


def url(request: pytest.FixtureRequest, folder: Path) -> str:
    fixtures = {"postgresql": "postgres_url", "mysql": "mariadb_url"}
    return request.getfixturevalue(fixtures[request.param]) if request.param in fixtures else f"sqlite:///{folder}/x.db"


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SyncPeeweeStore]:
    with closing_all(database(url(request, tmp_path), asynchronous=False)) as db:
        store = SyncPeeweeStore(db)
        store.create_schema()
        yield store


@pytest.fixture(params=KINDS)
async def async_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PeeweeStore]:
    store = PeeweeStore(database(url(request, tmp_path), asynchronous=True))
    await store.create_schema()
    yield store
    await store.database.close_pool()


@pytest.fixture
def calls() -> list[str]:
    return []


def test_an_ordinary_store_joins_the_block_it_is_called_in(store: SyncPeeweeStore) -> None:
    lost = row()
    with store.database.connection_context(), store.database.atomic() as transaction:
        store.insert(lost)
        transaction.rollback()
    assert store.get(ME, lost.id) is None
    assert store.database.is_closed()


async def test_an_ordinary_async_store_joins_the_block_of_its_task(async_store: PeeweeStore) -> None:
    lost = row()
    async with async_store.database:
        with suppress(ZeroDivisionError):
            async with async_store.database.atomic():
                await async_store.insert(lost)
                raise ZeroDivisionError
    assert await async_store.get(ME, lost.id) is None
    assert async_store.database.is_closed()


def test_rolling_back_a_savepoint_takes_back_what_a_released_inner_one_registered(
    store: SyncPeeweeStore, calls: list[str]
) -> None:
    bound = store.bind(store.database)
    with store.database as db:
        bound.after_commit(lambda: calls.append("before"))
        with db.atomic() as outer:
            with db.atomic():
                bound.after_commit(lambda: calls.append("inner"))
            outer.rollback()
        bound.after_commit(lambda: calls.append("after"))
    assert calls == ["before", "after"]


def test_a_savepoint_opened_before_the_first_callback_takes_it_along(store: SyncPeeweeStore, calls: list[str]) -> None:
    with store.database as db, db.atomic() as savepoint:
        store.bind(db).after_commit(lambda: calls.append("rolled back"))
        savepoint.rollback()
    assert calls == []


async def test_async_savepoints_take_back_their_callbacks(async_store: PeeweeStore, calls: list[str]) -> None:
    db = async_store.database
    bound = async_store.bind(db)
    async with db, db.atomic():
        async with db.atomic() as early:
            bound.after_commit(lambda: calls.append("rolled back by hand"))
            async with db.atomic():
                bound.after_commit(lambda: calls.append("inner"))
            await early.arollback()
            bound.after_commit(lambda: calls.append("after"))
        with suppress(ZeroDivisionError):
            async with db.atomic():
                bound.after_commit(lambda: calls.append("rolled back"))
                raise ZeroDivisionError
        assert calls == []
    assert calls == ["after"]


async def test_a_transaction_ended_by_hand_calls_back_only_what_was_committed(
    async_store: PeeweeStore, calls: list[str]
) -> None:
    db = async_store.database
    bound = async_store.bind(db)
    async with db, db.atomic() as transaction:
        bound.after_commit(lambda: calls.append("rolled back"))
        await transaction.arollback()
        bound.after_commit(lambda: calls.append("committed"))
        await transaction.acommit()
        assert calls == ["committed"]
    assert calls == ["committed"]


def test_a_callback_that_fails_does_not_fail_the_commit_or_the_others(
    store: SyncPeeweeStore, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    kept = row()
    with store.database as db:
        bound = store.bind(db)
        bound.insert(kept)
        bound.after_commit(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        bound.after_commit(lambda: calls.append("second"))
    assert store.get(ME, kept.id) == kept
    assert calls == ["second"]
    assert "ZeroDivisionError" in caplog.text


def test_a_duplicate_among_many_leaves_none_of_them_and_the_transaction_usable(store: SyncPeeweeStore) -> None:
    stored, new, later = row(), row(), row()
    store.insert(stored)
    with store.database as db:
        bound = store.bind(db)
        with pytest.raises(DuplicateNotification, match=stored.id):
            bound.insert_many([new, stored])
        bound.insert_many([later])
    assert (store.get(ME, new.id), store.get(ME, later.id)) == (None, later)


async def test_a_bound_store_refuses_a_task_that_would_commit_by_itself(async_store: PeeweeStore) -> None:
    db = async_store.database
    bound = async_store.bind(db)
    lost = row()
    async with db, db.atomic():
        with pytest.raises(StoreError, match="no transaction to join"):
            await asyncio.create_task(bound.insert(lost))
    with pytest.raises(StoreError, match="no transaction"):
        bound.after_commit(lambda: None)
    assert await async_store.get(ME, lost.id) is None


def test_a_manual_block_is_joined_but_reports_no_commit(store: SyncPeeweeStore) -> None:
    kept, more = row(), [row() for _ in range(3)]
    with store.database.connection_context(), store.database.manual_commit():
        store.database.begin()
        store.bind().insert(kept)
        store.bind().insert_many(more)
        assert store.prune(older_than=datetime(1971, 1, 1, tzinfo=UTC)) == 0
        with pytest.raises(DuplicateNotification):
            store.bind().insert_many([row(), kept])
        with pytest.raises(Unsupported, match="manual_commit"):
            store.bind().after_commit(lambda: None)
        store.database.commit()
    assert [store.get(ME, each.id) for each in (kept, *more)] == [kept, *more]


def test_a_transaction_whose_error_the_application_swallowed_never_calls(
    store: SyncPeeweeStore, calls: list[str]
) -> None:
    """PostgreSQL answers the COMMIT of an aborted transaction with ROLLBACK, and drivers raise no error."""
    db, sent = store.database, row()
    with db:
        store.bind(db).insert(sent)
        store.bind(db).after_commit(lambda: calls.append("published"))
        with suppress(PeeweeException), db.atomic():
            db.execute_sql("SELECT * FROM there_is_no_such_table")  # undone by its savepoint
        with suppress(PeeweeException):
            db.execute_sql("SELECT * FROM there_is_no_such_table")
    assert len(calls) == (1 if store.get(ME, sent.id) else 0)
    assert (calls == []) == isinstance(db, PostgresqlDatabase)


async def test_the_same_for_an_async_database(async_store: PeeweeStore, calls: list[str]) -> None:
    db, sent = async_store.database, row()
    async with db, db.atomic():
        await async_store.bind(db).insert(sent)
        async_store.bind(db).after_commit(lambda: calls.append("published"))
        with suppress(PeeweeException):
            async with db.atomic():
                await db.aexecute_sql("SELECT * FROM there_is_no_such_table")  # undone by its savepoint
        with suppress(PeeweeException):
            await db.aexecute_sql("SELECT * FROM there_is_no_such_table")
    assert len(calls) == (1 if await async_store.get(ME, sent.id) else 0)
    assert (calls == []) == isinstance(db, PostgresqlDatabase)


async def test_a_cancelled_call_is_cancelled_and_its_outcome_is_no_error(async_store: PeeweeStore) -> None:
    me = Recipient("cancelling")
    for ticks in range(60):
        rows = [Notification.new(me, "test") for _ in range(101)]
        call = asyncio.create_task(async_store.insert_many(rows))
        for _ in range(ticks):
            await asyncio.sleep(0)
        call.cancel()
        [answer] = await asyncio.gather(call, return_exceptions=True)
        assert answer is None or isinstance(answer, asyncio.CancelledError)
    assert await async_store.count(me) % 101 == 0


async def test_a_bound_inbox_publishes_after_the_commit_only(async_store: PeeweeStore) -> None:
    db = async_store.database
    hub = SseHub()
    inbox = Inbox(async_store, hub)
    async with hub.subscribe(ME) as stream:
        async with db, db.atomic():
            await inbox.bind(db).send(ME, "kept")
            with suppress(ZeroDivisionError):
                async with db.atomic():
                    await inbox.bind(db).send(ME, "rolled back")
                    raise ZeroDivisionError
        await inbox.send(ME, "last")
        received = b""
        async with asyncio.timeout(60):
            while b'"last"' not in received:
                received += await anext(stream)
    assert b'"kept"' in received
    assert b'"rolled back"' not in received
    hub.close()


@pytest.mark.parametrize("what", ["session", object()])
def test_what_is_no_session_or_no_database_is_refused(what: Any, tmp_path: Path) -> None:
    one, other = (SyncPeeweeStore(database(f"sqlite:///{tmp_path / name}", asynchronous=False)) for name in "ab")
    for session in (what, other.database, other.database.atomic()):
        with pytest.raises(InvalidArgument, match="session: expected None"):
            one.bind(session)
    with pytest.raises(InvalidArgument, match="initialized"):
        notification_model(what)
    with pytest.raises(InvalidArgument, match="bound to"):
        SyncPeeweeStore(one.database, model=other.model)


def test_an_async_database_for_a_sync_store_is_refused_and_vice_versa(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="SyncPeeweeStore"):
        PeeweeStore(database(f"sqlite:///{tmp_path / 'x.db'}", asynchronous=False))
    with pytest.raises(InvalidArgument, match="PeeweeStore"):
        SyncPeeweeStore(database(f"sqlite:///{tmp_path / 'x.db'}", asynchronous=True))


def test_one_taken_id_among_thousands_is_named_and_the_block_goes_on(store: SyncPeeweeStore) -> None:
    crowd = Recipient("crowd")
    kept, other, *many = (Notification.new(crowd, "test") for _ in range(2_502))
    with store.database.connection_context():
        store.insert(kept)
        with store.database.atomic():
            store.insert(other)
            with pytest.raises(DuplicateNotification) as caught:
                store.insert_many([*many, kept])
            assert caught.value.id == kept.id
            assert store.count(crowd) == 2
        store.insert_many(many)
        assert store.page(crowd, limit=3_000) == [*reversed(many), other, kept]
        store.erase(crowd)


async def test_one_taken_id_among_thousands_is_named_and_nothing_is_inserted(async_store: PeeweeStore) -> None:
    crowd = Recipient("crowd")
    kept, *many = (Notification.new(crowd, "test") for _ in range(2_501))
    await async_store.insert(kept)
    with pytest.raises(DuplicateNotification) as caught:
        await async_store.insert_many([*many, kept])
    assert caught.value.id == kept.id
    assert await async_store.page(crowd) == [kept]
    await async_store.insert_many(many)
    assert await async_store.page(crowd, limit=3_000) == [*reversed(many), kept]
    await async_store.erase(crowd)


def test_a_table_may_have_a_name_that_has_to_be_quoted(store: SyncPeeweeStore) -> None:
    named = SyncPeeweeStore(store.database, model=notification_model(store.database, "Our notices"))
    with store.database.connection_context():
        named.create_schema()
        rows = [row() for _ in range(3)]
        named.insert_many(rows)
        assert named.upsert(rows[0]).version == 2
        assert named.unread_counts([ME], at_most=2) == {ME: 2}
        store.database.drop_tables([named.model])
