"""The common table, created in each of the ways that Tortoise offers, and by SQLAlchemy."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, make_url, text
from tortoise import Tortoise
from tortoise.context import require_context
from tortoise.migrations.api.migrate import migrate
from tortoise.migrations.autodetector import MigrationAutodetector

from notistore import Notification, Recipient
from notistore_sqlalchemy import SyncSQLAlchemyStore
from notistore_tortoise import TortoiseStore

from .test_tortoise_conforms import tortoise

ME = Recipient("42", tenant="acme")
APP = {
    "models": ["notistore_tortoise.models"],
    "default_connection": "default",
    "migrations": "notistore_tortoise.migrations",
}


@contextmanager
def own_database(url: str, driver: str) -> Iterator[str]:
    """A new database on the server of `url`, for tables that are created and dropped. Returns its URL with `driver`."""
    there = make_url(url).set(drivername=driver)
    name = f"notistore_{uuid.uuid4().hex}"
    engine = create_engine(there, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield there.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name}"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLAlchemy's URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'x.db'}"
        return
    driver = {"postgres": "postgresql+psycopg", "mariadb": "mysql+pymysql"}[request.param]
    with own_database(request.getfixturevalue(f"{request.param}_url"), driver) as url:
        yield url


def for_tortoise(url: str) -> str:
    return re.sub(r"^sqlite:///", "sqlite://", re.sub(r"\+\w+:", ":", url))


@pytest.fixture
async def store(url: str) -> AsyncIterator[TortoiseStore]:
    async with tortoise(for_tortoise(url)):
        yield TortoiseStore()


def make_by_sqlalchemy(url: str) -> None:
    engine = create_engine(url)
    SyncSQLAlchemyStore(engine).create_schema()
    engine.dispose()


def describe_and_drop(url: str) -> dict[str, Any]:
    """The table's definition, as the database reports it. Drops the table."""
    engine = create_engine(url)
    table = "notistore_notifications"
    database = inspect(engine)
    columns = {
        column["name"]: (repr(column["type"]), column["nullable"], re.sub(r"::.*", "", column["default"] or ""))
        for column in database.get_columns(table)
    }
    indexes = {
        index["name"]: (index["column_names"], [str(each).strip("()") for each in index["dialect_options"].values()])
        for index in ({"dialect_options": {}} | dict(each) for each in database.get_indexes(table))
    }
    primary = database.get_pk_constraint(table)["constrained_columns"]
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {table}"))
    engine.dispose()
    return {"columns": columns, "indexes": indexes, "primary key": primary}


async def test_every_way_makes_the_same_table(url: str, store: TortoiseStore) -> None:
    make_by_sqlalchemy(url)
    expected = describe_and_drop(url)
    await store.create_schema()
    assert describe_and_drop(url) == expected
    await Tortoise.generate_schemas(safe=False)
    assert describe_and_drop(url) == expected
    config = {"connections": {"default": for_tortoise(url)}, "apps": {"notistore": APP}}
    await asyncio.create_task(migrate(config=config))  # in a context of its own
    await store.create_schema()
    assert describe_and_drop(url) == expected


async def test_either_adapter_takes_the_others_table_and_reads_its_rows(url: str, store: TortoiseStore) -> None:
    engine = create_engine(url)
    other = SyncSQLAlchemyStore(engine)
    new = Notification.new(ME, "test", {"ü": [1, 2.5, None]}, key="k")
    for first, second in ((other.create_schema, store.create_schema), (store.create_schema, other.create_schema)):
        for create in (first, second):
            if (made := create()) is not None:
                await made
        stored = other.upsert(new)
        assert await store.get(ME, new.id) == stored
        stored = await store.upsert(new)
        assert other.get(ME, new.id) == stored
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE notistore_notifications"))
    engine.dispose()


async def test_there_is_nothing_left_for_a_migration_to_do(store: TortoiseStore) -> None:
    apps = require_context().apps
    assert apps is not None
    assert await MigrationAutodetector(apps, {"notistore": APP}).changes() == []
