from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from notistore import SseHub
from notistore.hub.backplane import Backplane
from tools.clusters.redis import Cluster
from tools.servers import RedisServer, Server

from ..conftest import running
from .kinds import KINDS, SECRET, backplane
from .servers import NatsServer

NEEDS = {"redis": "redis", "cluster": "redis", "postgres": "asyncpg", "nats": "nats"}
NUMBERS = itertools.count()

Hubs: TypeAlias = Callable[..., AbstractAsyncContextManager[SseHub]]


@dataclass(frozen=True)
class Service:
    """A backplane's kind, server URL and prefix: everything a process needs to take part in a test."""

    kind: str
    url: str
    prefix: str
    server: Server | None = None

    @property
    def parts(self) -> tuple[str, str, str]:
        return self.kind, self.url, self.prefix

    def backplane(self, url: str | None = None) -> AbstractAsyncContextManager[Backplane]:
        return backplane(self.kind, url or self.url, self.prefix)

    @asynccontextmanager
    async def hub(self, url: str | None = None, **options: Any) -> AsyncIterator[SseHub]:
        """A hub with a backplane of its own, as in a separate process."""
        async with self.backplane(url) as plane, SseHub(plane, **{"secret": SECRET, **options}) as hub:
            yield hub


def prefix() -> str:
    return f"test_{uuid.uuid4().hex[:12]}_{next(NUMBERS)}_".replace("__", "_")


@pytest.fixture(scope="session")
def nats_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with running(NatsServer, request) as server:
        yield server.url


@pytest.fixture(scope="session")
def own_nats(request: pytest.FixtureRequest) -> Iterator[NatsServer]:
    with running(NatsServer, request) as server:
        yield server


@pytest.fixture(scope="session")
def own_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with running(RedisServer, request), Cluster() as cluster:  # the first skips or fails if Redis is not installed
        yield cluster


@pytest.fixture(params=KINDS)
def service(request: pytest.FixtureRequest) -> Service:
    """Each kind of backplane in turn."""
    kind: str = request.param
    pytest.importorskip(NEEDS[kind])
    if kind == "cluster":
        return Service(kind, request.getfixturevalue("own_cluster").url, prefix())
    return Service(kind, request.getfixturevalue(f"{kind}_url"), prefix())


@pytest.fixture(params=[kind for kind in KINDS if kind != "cluster"])
def own_service(request: pytest.FixtureRequest) -> Service:
    """Each kind, on a server that the test may break."""
    kind: str = request.param
    pytest.importorskip(NEEDS[kind])
    server: Server = request.getfixturevalue(f"own_{kind}")
    return Service(kind, server.url, prefix(), server)


@pytest.fixture
async def database(tmp_path: Path) -> str:
    """A SQLite file with an inbox's table in it."""
    sqlalchemy = pytest.importorskip("notistore_sqlalchemy")
    url = f"sqlite+aiosqlite:///{tmp_path}/inbox.db"
    async with sqlalchemy.open_store(url):
        return url


@pytest.fixture
async def store(database: str) -> AsyncIterator[Any]:
    from notistore_sqlalchemy import open_store

    async with open_store(database) as store:
        yield store
