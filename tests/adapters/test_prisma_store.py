"""Prisma, as far as the kit does not cover it: its model, its migration, its bugs, and tables of other adapters."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from notistore import Actor, InvalidArgument, Notification, Recipient, StoreError, Unsupported
from notistore.model import to_millis, utc_now
from notistore_prisma import PrismaStore, SyncPrismaStore, migration, model, open_store
from notistore_sqlalchemy import SQLAlchemyStore
from tools.prisma_engine import client_class

from .test_sqlalchemy_conforms import with_driver

ME = Recipient("42", tenant="acme")


on_both = pytest.mark.parametrize("provider", ["sqlite", "postgresql"])


@pytest.fixture
def provider() -> str:
    return "sqlite"


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def url(provider: str, sqlite_file: Path, request: pytest.FixtureRequest) -> str:
    postgres_url: str = request.getfixturevalue("postgres_url") if provider == "postgresql" else ""
    return postgres_url or f"file:{sqlite_file}"


@pytest.fixture
async def client(provider: str, url: str, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    async with client_class(provider, "asyncio", request)(datasource={"url": url}) as client:
        yield client


def full_row() -> Notification:
    data = {"text": "a\u2028b\u2029c\u0085d \\u2028 \U0001f514 'q' \"q\"", "n": 2**53 + 1, "none": None, "list": [[]]}
    return replace(
        Notification.new(ME, "invoice.paid", data, key="k", actor=Actor("7", "bot"), trace_id="t-1"), read_at=utc_now()
    )


@on_both
async def test_line_separators_in_data_survive_the_client(client: Any) -> None:
    store = PrismaStore(client)
    await store.create_schema()
    row = full_row()
    assert (await store.upsert(row)).data == row.data
    assert (await store.upsert(row)).data == row.data
    bare = Notification.new(ME, "t", row.data)
    await store.insert(bare)
    await store.insert_many([many := Notification.new(ME, "t", row.data)])
    assert [await store.get(ME, bare.id), await store.get(ME, many.id)] == [bare, many]


@on_both
@pytest.mark.parametrize("made_by", ["prisma", "sqlalchemy"])
async def test_the_table_is_the_one_of_the_other_adapters(made_by: str, provider: str, url: str, client: Any) -> None:
    path = url.removeprefix("file:")
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}" if provider == "sqlite" else with_driver(url, "postgresql+asyncpg")
    )
    try:
        stores = {"prisma": PrismaStore(client), "sqlalchemy": SQLAlchemyStore(engine)}
        await drop_table(client)
        await stores[made_by].create_schema()
        for writer, reader in (("prisma", "sqlalchemy"), ("sqlalchemy", "prisma")):
            await stores[writer].erase(ME)
            row = full_row()
            await stores[writer].insert(row)
            [read] = await stores[reader].page(ME)
            assert read == row
            assert (await stores[reader].upsert(read)).version == 2
            assert (await stores[writer].upsert(read)).version == 3
            assert await stores[writer].unread_count(ME) == await stores[reader].unread_count(ME) == 1
        for store in stores.values():
            await store.create_schema()
        await stores["prisma"].erase(ME)
    finally:
        await engine.dispose()


async def drop_table(client: Any) -> None:
    await client.execute_raw("DROP TABLE IF EXISTS notistore_notifications")


@on_both
async def test_a_table_with_other_columns_is_an_error_and_stays(client: Any) -> None:
    async with client.tx() as transaction:
        await drop_table(transaction)
        await transaction.execute_raw("CREATE TABLE notistore_notifications (id TEXT, colour TEXT)")
        await transaction.execute_raw("INSERT INTO notistore_notifications VALUES ('1', 'red')")
        with pytest.raises(StoreError, match=r"missing actor_id, .*, unexpected colour;"):
            await PrismaStore(transaction).create_schema()
        assert await transaction.query_raw("SELECT * FROM notistore_notifications") == [{"id": "1", "colour": "red"}]
        await drop_table(transaction)
        await PrismaStore(transaction).create_schema()


def test_the_model_and_the_migration_have_the_same_columns() -> None:
    for provider in ("postgresql", "sqlite"):
        columns = re.findall(r"^ {4}([a-z_]+) ", migration(provider).partition(";")[0], re.MULTILINE)
        assert columns == re.findall(r"^ {2}([a-z_]+) ", model(provider), re.MULTILINE)
        assert len(columns) == 14
    with pytest.raises(InvalidArgument, match="mysql"):
        model("mysql")  # type: ignore[arg-type]


@on_both
async def test_the_indexes_are_those_of_docs_schema(provider: str, url: str, client: Any) -> None:
    page = (Path(__file__).parents[2] / "docs" / "schema.md").read_text()
    _, _, documented = page.partition("## SQLite" if provider == "sqlite" else "## PostgreSQL")
    documented = documented.partition("```sql")[2].partition("```")[0]
    indexes = {
        "postgresql": "SELECT indexname::text AS name, indexdef AS sql FROM pg_indexes WHERE tablename = ",
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE sql LIKE '%INDEX%' AND tbl_name = ",
    }
    made = []
    for creation in (migration(provider), documented):
        await drop_table(client)
        for statement in filter(str.strip, creation.split(";")):
            await client.execute_raw(statement)
        rows = await client.query_raw(f"{indexes[provider]}'notistore_notifications'")
        made.append({row["name"]: " ".join(row["sql"].replace("IF NOT EXISTS ", "").split()) for row in rows})
    assert made[0] == made[1]
    assert {"notistore_notifications_unread", "notistore_notifications_inbox"} <= made[0].keys()


@on_both
async def test_pruning_read_rows_goes_on_where_it_stopped(provider: str, client: Any) -> None:
    """Unread rows are older than every read one: a batch that began at the oldest row would pass over them again."""
    store = PrismaStore(client)
    await drop_table(client)
    await store.create_schema()
    now = utc_now()
    old = [Notification.new(ME, "t", at=now - timedelta(days=1, milliseconds=-n)) for n in range(3_000)]
    await store.insert_many([replace(row, read_at=now if n >= 500 else None) for n, row in enumerate(old)])
    asked: list[tuple[object, ...]] = []

    class Recording:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        async def query_raw(self, query: str, *args: object) -> Any:
            asked.append(args)
            return await client.query_raw(query, *args)

    pruned = await PrismaStore(Recording()).prune(older_than=now, only_read=True)  # type: ignore[arg-type]
    assert pruned == 2_500
    assert await store.unread_count(ME) == await store.count(ME) == 500
    assert [args[1:] for args in asked] == [(), *((to_millis(old[n].updated_at), old[n].id) for n in (1_499, 2_499))]
    await store.erase(ME)


@on_both
async def test_erase_tenant_of_an_empty_name_erases_nothing(client: Any) -> None:
    store, me = PrismaStore(client), Recipient("without a tenant")
    await store.create_schema()
    await store.insert(Notification.new(me, "t"))
    assert await store.erase_tenant("") == 0
    assert await store.erase(me) == 1


async def test_a_client_of_the_wrong_kind_is_refused_at_once(client: Any, request: pytest.FixtureRequest) -> None:
    sync_client = client_class("sqlite", "sync", request)()
    with pytest.raises(InvalidArgument, match="SyncPrismaStore"):
        PrismaStore(sync_client)
    with pytest.raises(InvalidArgument, match="PrismaStore"):
        SyncPrismaStore(client)
    with pytest.raises(InvalidArgument, match="prisma generate"):
        PrismaStore(object())  # type: ignore[arg-type]


async def test_only_a_transaction_can_be_joined_and_the_caller_publishes(client: Any) -> None:
    store = PrismaStore(client)
    await store.create_schema()
    for other in (client, object()):
        with pytest.raises(InvalidArgument, match=r"client\.tx\(\)"):
            store.bind(other)
    async with client.tx() as transaction:
        bound = store.bind(transaction)
        with pytest.raises(Unsupported, match="publish"):
            bound.after_commit(lambda: None)


async def test_open_store_makes_its_own_client_and_table(
    client: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidArgument, match="prisma generate"):
        async with open_store(url):
            pass
    # Where a schema sets no `output`, the client is generated into the package `prisma` itself.
    monkeypatch.setitem(sys.modules, "prisma", importlib.import_module("notistore_sqlite_asyncio"))
    async with open_store(url) as store:
        await store.insert(row := Notification.new(ME, "t"))
        assert await PrismaStore(client).get(ME, row.id) == row
