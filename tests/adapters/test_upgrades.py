"""The table that is missing, or is one of another version, by every SQL store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from notistore import Notification, Recipient, StoreError
from notistore.sql.table import INDEXES
from tools.prisma_engine import client_class

from .faults import FAULTY, Faulty
from .test_faults import TABLE, execute

ME = Recipient("42", tenant="acme")
INDEX_NAMES = {f"{TABLE}_{suffix}" for suffix in INDEXES}
SHAPES = {  # the table's columns, and its indexes with what they are made of
    "sqlite": (
        f"SELECT name FROM pragma_table_info('{TABLE}')",
        f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{TABLE}' AND sql IS NOT NULL",
    ),
    "postgres": (
        f"SELECT attname FROM pg_attribute WHERE attrelid = '{TABLE}'::regclass AND attnum > 0 AND NOT attisdropped",
        f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename = '{TABLE}' AND indexname <> '{TABLE}_pkey'",
    ),
    "mariadb": (
        "SELECT column_name FROM information_schema.columns "
        f"WHERE table_schema = DATABASE() AND table_name = '{TABLE}'",
        "SELECT index_name, GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics "
        f"WHERE table_schema = DATABASE() AND table_name = '{TABLE}' AND index_name <> 'PRIMARY' GROUP BY index_name",
    ),
}


def prisma(provider: str, request: pytest.FixtureRequest) -> Any:
    @asynccontextmanager
    async def open_(url: str, connections: int) -> AsyncIterator[Any]:
        make_client = client_class(provider, "asyncio", request)
        from notistore_prisma import PrismaStore

        async with make_client(datasource={"url": url.replace("sqlite:///", "file:")}) as client:
            yield PrismaStore(client)

    return open_


EVERY = {faulty.name: faulty for faulty in FAULTY}


@pytest.fixture(params=[*EVERY, "Prisma, sqlite", "Prisma, postgresql"])
def faulty(request: pytest.FixtureRequest) -> Faulty:
    """Every SQL store, on each of its drivers."""
    name: str = request.param
    if name in EVERY:
        return EVERY[name]
    provider = name.removeprefix("Prisma, ")
    return Faulty(name, "sqlite" if provider == "sqlite" else "postgres", prisma(provider, request))


@pytest.fixture
def url(faulty: Faulty, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if faulty.server == "sqlite":
        return f"sqlite:///{tmp_path / 'x.db'}"
    found: str = request.getfixturevalue(f"empty_{faulty.server}_url")
    return found


def shape(faulty: Faulty, url: str) -> tuple[set[str], dict[str, str]]:
    columns, indexes = (execute(url, sql) for sql in SHAPES[faulty.server])
    return {name for (name,) in columns}, dict(indexes)


def drop_index(faulty: Faulty, url: str, index: str) -> None:
    execute(url, f"DROP INDEX {index} ON {TABLE}" if faulty.server == "mariadb" else f"DROP INDEX {index}")


async def test_an_error_about_a_missing_table_says_how_to_create_it(faulty: Faulty, url: str) -> None:
    async with faulty.open(url, 1) as store:
        with pytest.raises(StoreError, match=r"table does not exist.*create_schema\(\)"):
            await store.insert(Notification.new(ME, "t"))
        with pytest.raises(StoreError, match=r"table does not exist.*create_schema\(\)"):
            await store.page(ME)
        with pytest.raises(StoreError, match=r"table does not exist.*create_schema\(\)"):
            await store.unread_counts([ME])
        await store.create_schema()
        assert await store.page(ME) == []


async def test_indexes_that_are_missing_are_created_and_rows_stay(faulty: Faulty, url: str) -> None:
    async with faulty.open(url, 3) as store:
        await store.create_schema()
        made = shape(faulty, url)
        assert made[1].keys() == INDEX_NAMES
        row, read = Notification.new(ME, "t", {"n": 1}, key="k"), Notification.new(ME, "t")
        await store.insert_many([row, read])
        await store.mark_read(ME, read.id, at=read.created_at)
        stored = await store.page(ME)
        for index in INDEX_NAMES:
            drop_index(faulty, url, index)
        assert shape(faulty, url)[1] == {}
        await asyncio.gather(*(store.create_schema() for _ in range(3)))
        assert shape(faulty, url) == made
        assert await store.page(ME) == stored


async def test_a_table_with_other_columns_is_refused_and_stays_as_it_is(faulty: Faulty, url: str) -> None:
    async with faulty.open(url, 1) as store:
        await store.create_schema()
        await store.insert(Notification.new(ME, "t"))
    execute(url, f"ALTER TABLE {TABLE} DROP COLUMN trace_id")
    execute(url, f"ALTER TABLE {TABLE} ADD COLUMN colour varchar(9)")
    drop_index(faulty, url, f"{TABLE}_age")  # which is not created either
    as_it_is = shape(faulty, url), execute(url, f"SELECT * FROM {TABLE}")
    async with faulty.open(url, 1) as store:
        for _ in range(2):  # and no lock is left behind
            with pytest.raises(StoreError, match="missing trace_id, unexpected colour;"):
                await store.create_schema()
    assert (shape(faulty, url), execute(url, f"SELECT * FROM {TABLE}")) == as_it_is
