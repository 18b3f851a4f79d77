"""The throwaway servers of the tests, started when they are first asked for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg

from tools.servers import PostgresServer, RedisServer, Server


class Servers:
    """One PostgreSQL and one Redis for the whole run; `database` gives an empty part of one."""

    def __init__(self) -> None:
        self._running: dict[type[Server], Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def url(self, kind: type[Server]) -> str:
        if kind not in self._running:
            self._running[kind] = self._stack.enter_context(kind())
        url: str = self._running[kind].url
        return url

    @contextmanager
    def database(self, kind: str) -> Iterator[str]:
        if kind == "Redis":
            yield self.url(RedisServer)
            return
        server = self.url(PostgresServer)
        name = f"benchmark_{uuid.uuid4().hex}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
