"""Every SQL adapter reads, upserts, marks and counts the rows that any other wrote, in one table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from notistore import Actor, Notification, NotificationStore, Recipient
from notistore.discovery import find_store
from notistore.model import utc_now
from tools.prisma_engine import client_class

ADAPTERS = ("sqlalchemy", "django", "tortoise", "peewee", "prisma")
DATABASES = {
    "sqlite": (*ADAPTERS, "sqlite"),
    "postgresql": (*ADAPTERS, "asyncpg", "psycopg"),
    "mariadb": tuple(name for name in ADAPTERS if name != "prisma"),
}
DATA = {"text": "naïve 🔔 \u2028 '%_\\ ", "numbers": [0, -1, 2**53 + 1, 0.1, 1e-7], "deep": {"a": [{}, [], None, True]}}


@pytest.fixture(scope="module", params=DATABASES)
async def stores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, NotificationStore]]:
    """Each adapter's store on the same table, which the first of them created."""
    database: str = request.param
    file = tmp_path_factory.mktemp("rows") / "rows.db"
    url = f"sqlite:///{file}" if database == "sqlite" else request.getfixturevalue(f"{database.removesuffix('ql')}_url")
    async with AsyncExitStack() as stack:
        opened: dict[str, NotificationStore] = {}
        for name in DATABASES[database]:
            if name == "prisma":
                opened[name] = await stack.enter_async_context(prisma_store(database, url, file, request))
            else:
                opener, url_of_its_own = find_store(f"{name}:{url}")
                opened[name] = await stack.enter_async_context(opener(url_of_its_own))
        yield opened


@asynccontextmanager
async def prisma_store(
    database: str, url: str, file: Path, request: pytest.FixtureRequest
) -> AsyncIterator[NotificationStore]:
    make_client: Any = client_class(database, "asyncio", request)
    from notistore_prisma import PrismaStore

    async with make_client(datasource={"url": f"file:{file}" if database == "sqlite" else url}) as client:
        yield PrismaStore(client)


async def test_what_one_adapter_writes_every_other_reads_the_same(stores: dict[str, NotificationStore]) -> None:
    for writer, store in stores.items():
        recipient = Recipient(f"Åda {writer} ", "Team", tenant="acme")
        actor = Actor("grace", "bot")
        rows = [
            Notification.new(recipient, "a", DATA, at=utc_now() - timedelta(days=20_000)),
            Notification.new(recipient, "b", {}, key="export:9", actor=actor, trace_id="t-1"),
        ]
        for row in rows:
            await store.insert(row)
        newest_first = sorted(rows, key=lambda row: row.cursor, reverse=True)
        for reader, other in stores.items():
            seen = f"what {reader} reads of {writer}'s"
            assert list(await other.page(recipient)) == newest_first, seen
            assert list(await other.page(recipient, before=newest_first[0].cursor)) == newest_first[1:], seen
            assert [await other.get(recipient, row.id) for row in rows] == rows, seen
            assert await other.count(recipient) == 2, seen
            assert await other.unread_count(recipient, types=["b"]) == 1, seen
            assert await other.count(Recipient(recipient.id, "Team")) == 0, seen


async def test_every_pair_of_adapters_evolves_one_row_together(stores: dict[str, NotificationStore]) -> None:
    for one, two in permutations(stores, 2):
        recipient = Recipient(f"{one} {two}")
        row = Notification.new(recipient, "export", {"progress": 1}, key="export:9")
        first = await stores[one].upsert(row)
        assert (first.version, first.recipient.tenant) == (1, None)
        read_at = utc_now()
        assert await stores[two].mark_read(recipient, row.id, at=read_at) == 1
        second = await stores[two].upsert(
            Notification.new(recipient, "export", {"progress": 2}, key="export:9"), renotify=False
        )
        stored = await stores[one].get(recipient, row.id)
        assert stored == second
        assert (second.version, second.read_at, second.created_at) == (2, read_at, first.created_at)
        assert await stores[one].mark_unread(recipient, row.id) == 1
        assert await stores[two].unread_count(recipient, at_most=10) == 1
        assert await stores[two].mark_all_read(recipient, at=utc_now()) == 1
        assert await stores[one].delete(recipient, row.id) == 1
        assert await stores[two].get(recipient, row.id) is None


async def test_every_adapter_accepts_the_existing_table(stores: dict[str, Any]) -> None:
    for store in stores.values():
        await store.create_schema()
