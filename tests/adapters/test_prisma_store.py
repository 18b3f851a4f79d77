"""What the kit cannot know of Prisma: its model, its migration, its bugs, and who else uses the table."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from notistore import Actor, InvalidArgument, Notification, Recipient, StoreError, Unsupported
from notistore.model import utc_now
from notistore_prisma import PrismaStore, SyncPrismaStore, migration, model, open_store
from notistore_sqlalchemy import SQLAlchemyStore

from ..prisma_engine import client_class
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
        with pytest.raises(StoreError, match=r"lacks actor_id, .* and has colour besides"):
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
