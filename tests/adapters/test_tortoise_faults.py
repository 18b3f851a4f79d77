"""Faults that are Tortoise's own (those of every SQL store are in test_faults.py), and processes that write the same
rows."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import uuid
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from notistore import Notification, Recipient, StoreError
from notistore.model import utc_now
from notistore_tortoise import TortoiseStore, open_store

from .test_tortoise_conforms import tortoise, with_scheme


@pytest.fixture
def me() -> Recipient:
    return Recipient(uuid.uuid4().hex)


async def test_a_sqlite_file_that_cannot_be_opened_raises_store_error_every_time(tmp_path: Path, me: Recipient) -> None:
    folder = tmp_path / "later"
    async with tortoise(f"sqlite://{folder / 'x.db'}"):
        store = TortoiseStore()
        for _ in range(2):
            async with asyncio.timeout(60):
                with pytest.raises(StoreError, match="unable to open"):
                    await store.count(me)
        folder.mkdir()
        await store.create_schema()
        assert await store.count(me) == 0


@pytest.mark.parametrize("scheme", ["sqlite", "asyncpg", "mysql"])
async def test_processes_that_write_the_same_rows_in_any_order_lose_nothing_and_see_no_error(
    scheme: str, me: Recipient, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if scheme == "sqlite":
        url = f"sqlite://{tmp_path / 'x.db'}"
    else:
        url = with_scheme(request.getfixturevalue("mariadb_url" if scheme == "mysql" else "postgres_url"), scheme)
    long_ago = datetime(1970, 2, 1, tzinfo=UTC)
    kept, gone, old = (
        [Notification.new(me, type) for _ in range(count)] for type, count in (("kept", 40), ("gone", 40), ("old", 40))
    )
    async with open_store(url) as store:
        await store.prune(older_than=long_ago + timedelta(days=1))  # what other tests have left in this database
        await store.insert_many([*kept, *gone, *(replace(row, updated_at=long_ago) for row in old)])
        share = partial(_write_randomly, url, me, [row.id for row in kept], [row.id for row in gone])
        run = asyncio.get_running_loop().run_in_executor
        with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as processes:
            done = await asyncio.gather(*(run(processes, share, seed) for seed in range(3)))
        read, deleted, pruned = (sum(each) for each in zip(*done, strict=True))
        assert read == len(kept) - await store.unread_count(me, types=["kept"])
        assert (deleted, pruned) == (len(gone), len(old))
        assert [row.version for row in await store.page(me, types=["keyed"])] == [90]
        assert await store.count(me) == len(kept) + 1


def _write_randomly(url: str, me: Recipient, kept: list[str], gone: list[str], seed: int) -> tuple[int, int, int]:
    """Run in each process. Returns how many of `kept` it marked read, and how many others it deleted and pruned."""
    chance = random.Random(seed)

    async def work() -> tuple[int, int, int]:
        async with open_store(url) as store:
            marks, unmarks, deletes, upserts, prunes = [], [], [], [], []
            for _ in range(30):
                some = chance.sample(kept, 25)
                marks += [
                    store.mark_read(me, *some, at=utc_now()),
                    store.mark_all_read(me, types=["kept"], at=utc_now()),
                ]
                unmarks.append(store.mark_unread(me, *reversed(some)))
                deletes.append(store.delete(me, *chance.sample(gone, len(gone))))
                upserts.append(store.upsert(Notification.new(me, "keyed", key="hot")))
                prunes.append(store.prune(older_than=datetime(1970, 3, 1, tzinfo=UTC), limit=5))
            groups = [asyncio.gather(*calls) for calls in (marks, unmarks, deletes, prunes, upserts)]
            read, unread, deleted, pruned = (sum(counts) for counts in (await asyncio.gather(*groups))[:4])
        return read - unread, deleted, pruned

    return asyncio.run(work())
