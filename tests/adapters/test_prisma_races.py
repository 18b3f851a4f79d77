"""Several processes, each with its own engine, write the same rows."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from notistore import Notification
from notistore_prisma import PrismaStore
from tools.prisma_engine import client_class

from .prisma_racer import DOOMED, HOT, KEYS, LONG_AGO, MARKED

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("provider", ["sqlite", "postgresql"])
async def test_no_promise_is_broken_between_processes(
    provider: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue("empty_postgres_url") if provider == "postgresql" else f"file:{tmp_path / 'x.db'}"
    async with client_class(provider, "asyncio", request)(datasource={"url": url}) as client:
        store = PrismaStore(client)
        await store.create_schema()
        await store.insert_many([Notification.new(MARKED, "test") for _ in range(60)])
        old = LONG_AGO - timedelta(days=1)
        await store.insert_many([Notification.new(DOOMED, "test", at=old) for _ in range(60)])

        done = await racers(provider, url)

        for key in KEYS:
            await store.upsert(row := Notification.new(HOT, "test", key=key))
            stored = await store.get(HOT, row.id)
            assert stored is not None
            assert stored.version == done[key] + 1
        assert await store.count(HOT) == len(KEYS)
        assert done["marked"] + await store.unread_count(MARKED) == 60
        assert done["deleted"] + await store.count(DOOMED) == 60


async def racers(provider: str, url: str) -> Counter[str]:
    """Start the processes, release them at the same time, and add up what they report."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.adapters.prisma_racer", provider, url, str(seed)),
            env=os.environ | {"PYTHONPATH": path},
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )
        for seed in range(3)
    ]
    done: Counter[str] = Counter()
    try:
        async with asyncio.timeout(180):
            for process in processes:
                assert process.stdout is not None
                await process.stdout.readline()
            for output, errors in await asyncio.gather(*(process.communicate(b"go\n") for process in processes)):
                assert output, errors.decode()
                done.update(json.loads(output))
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
                await process.wait()
    return done
