"""Every backplane by name, so that the processes of a test can each create one."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from notistore.hub.backplane import Backplane

KINDS = ("redis", "cluster", "postgres", "nats")
SECRET = "shared by the hubs of the tests"


def make(kind: str, url: str, prefix: str) -> tuple[Backplane, Callable[[], Awaitable[None]]]:
    """A backplane as an application creates it, and a function that closes its client."""
    match kind:
        case "redis" | "cluster":
            from redis.asyncio import Redis
            from redis.asyncio.cluster import RedisCluster

            from notistore_redis import RedisBackplane

            client = Redis.from_url(url) if kind == "redis" else RedisCluster.from_url(url)
            return RedisBackplane(client, prefix=prefix), client.aclose
        case "postgres":
            from notistore_postgres import PostgresBackplane

            return PostgresBackplane(url, prefix=prefix), nothing
        case "nats":
            return nats_example().NatsBackplane(url, prefix=prefix), nothing
    raise AssertionError(kind)


async def nothing() -> None: ...


@asynccontextmanager
async def backplane(kind: str, url: str, prefix: str) -> AsyncIterator[Backplane]:
    plane, close = make(kind, url, prefix)
    try:
        yield plane
    finally:
        await close()


def nats_example() -> Any:
    """The module examples/nats_backplane.py."""
    path = Path(__file__).parents[2] / "examples" / "nats_backplane.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
