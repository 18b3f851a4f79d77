"""Real servers for the tests that request them: `postgres_url`, `mariadb_url`, `redis_url`, and servers to stop.

Each fixture takes the server that NOTISTORE_POSTGRES_URL, NOTISTORE_MARIADB_URL or NOTISTORE_REDIS_URL names, or
starts one (see tools/servers.py), or skips and says what to install. `--require-services` fails instead of skipping.
URLs have no driver in their scheme ("postgresql://", "mysql://"): the test picks one.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import pytest

from tools.servers import MariaDBServer, Missing, PostgresServer, RedisServer, Server

S = TypeVar("S", bound=AbstractContextManager[Any])


@contextmanager
def running(make: Callable[[], S], request: pytest.FixtureRequest) -> Iterator[S]:
    """A server, or several, within the block; if its program is not installed the test is skipped, or fails."""
    try:
        server = make()
    except Missing as missing:
        (pytest.fail if request.config.getoption("--require-services") else pytest.skip)(str(missing))
    with server:
        yield server


@contextmanager
def server_url(variable: str, kind: type[Server], request: pytest.FixtureRequest) -> Iterator[str]:
    if url := os.environ.get(variable):
        yield url
    else:
        with running(kind, request) as server:
            yield server.url


@contextmanager
def postgres_database(url: str) -> Iterator[str]:
    psycopg = pytest.importorskip("psycopg")
    name = f"notistore_{uuid.uuid4().hex}"
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def mariadb_database(url: str) -> Iterator[str]:
    pymysql = pytest.importorskip("pymysql")
    name = f"notistore_{uuid.uuid4().hex}"
    parts = urlsplit(url)
    account = {"user": unquote(parts.username or "root"), "password": unquote(parts.password or "")}

    def run(sql: str) -> None:
        with closing(pymysql.connect(host=parts.hostname, port=parts.port or 3306, **account)) as connection:
            connection.cursor().execute(sql)

    run(f"CREATE DATABASE {name}")
    yield parts._replace(path=f"/{name}").geturl()
    run(f"DROP DATABASE {name}")


@pytest.fixture(scope="session")
def postgres_server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with server_url("NOTISTORE_POSTGRES_URL", PostgresServer, request) as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with server_url("NOTISTORE_MARIADB_URL", MariaDBServer, request) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """A PostgreSQL database of this test run's (and xdist worker's) own. Tests share it: leave others' tables alone."""
    with postgres_database(postgres_server_url) as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server_url: str) -> Iterator[str]:
    """A MariaDB database of this test run's (and xdist worker's) own. Tests share it: leave others' tables alone."""
    with mariadb_database(mariadb_server_url) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server_url: str) -> Iterator[str]:
    """A PostgreSQL database of one test's own."""
    with postgres_database(postgres_server_url) as url:
        yield url


@pytest.fixture
def empty_mariadb_url(mariadb_server_url: str) -> Iterator[str]:
    """A MariaDB database of one test's own."""
    with mariadb_database(mariadb_server_url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A Redis server; with NOTISTORE_REDIS_URL others may use it too, so prefix every key with `redis_prefix`."""
    with server_url("NOTISTORE_REDIS_URL", RedisServer, request) as url:
        yield url


@pytest.fixture(scope="session")
def redis_prefix() -> str:
    """The prefix of this test run's (and xdist worker's) keys."""
    return f"notistore-test-{uuid.uuid4().hex}:"


@pytest.fixture(scope="session")
def own_postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A PostgreSQL server for fault tests to kill and restart; they leave it running."""
    with running(PostgresServer, request) as server:
        yield server


@pytest.fixture(scope="session")
def own_mariadb(request: pytest.FixtureRequest) -> Iterator[MariaDBServer]:
    """A MariaDB server for fault tests to kill and restart; they leave it running."""
    with running(MariaDBServer, request) as server:
        yield server


@pytest.fixture(scope="session")
def own_redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A Redis server for fault tests to kill and restart; they leave it running."""
    with running(RedisServer, request) as server:
        yield server
