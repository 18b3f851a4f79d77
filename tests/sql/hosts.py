"""A store over PyMySQL, for tests of `notistore.sql` itself: MariaDB has none without an ORM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import pymysql

from notistore.errors import Unsupported
from notistore.sql import (
    BoundHost,
    BoundSyncSQLStore,
    Dialect,
    Host,
    Statements,
    SyncSQLStore,
    Table,
    Work,
    statements_for,
)

T = TypeVar("T")

_numbers = count(1)


class PyMySQLStore(SyncSQLStore):
    """Over PyMySQL. As `dialect="mysql"` it does without RETURNING, as MySQL has to."""

    def __init__(self, url: str, *, table: Table = Table(), dialect: str = "mariadb") -> None:  # noqa: B008
        self.url = url
        self.statements = statements_for(table, Dialect(dialect, "%s"))  # type: ignore[arg-type]
        self._host = _Host(url, self.statements)
        super().__init__(self._host)

    def close(self) -> None:
        self._host.close()

    def bind(self, session: object) -> BoundSyncSQLStore:
        return BoundSyncSQLStore(_Bound(session, self.statements))


def connect(url: str) -> Any:
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        database=parts.path[1:],
        autocommit=True,
    )


@contextmanager
def transaction(url: str) -> Iterator[Any]:
    with closing(connect(url)) as connection:
        connection.begin()
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


class _Sender:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows: Sequence[Any] = cursor.fetchall()
            return rows

    def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        with self._connection.cursor() as cursor:
            changed: int = cursor.execute(sql, parameters)
            return changed


class _Host(Host):
    def __init__(self, url: str, statements: Statements) -> None:
        self._url = url
        self._statements = statements
        self._idle: list[Any] = []

    def perform(self, work: Work[T]) -> T:
        connection = self._idle.pop() if self._idle else connect(self._url)
        try:
            if work.begin(self._statements):
                connection.begin()
                result = work.run(_Sender(connection))
                connection.commit()
            else:
                result = work.run(_Sender(connection))
        except BaseException:
            if connection.open:
                connection.close()
            raise
        self._idle.append(connection)
        return result

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Bound(BoundHost):
    def __init__(self, connection: Any, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    def perform(self, work: Work[T]) -> T:
        if not work.begin(self._statements, joined=True):
            return work.run(_Sender(self._connection))
        with savepoint(self._connection):
            return work.run(_Sender(self._connection))

    def after_commit(self, callback: Callable[[], None]) -> None:
        raise Unsupported("PyMySQL does not tell when a transaction has committed")


@contextmanager
def savepoint(connection: Any) -> Iterator[None]:
    name = f"savepoint_{next(_numbers)}"  # MySQL deletes an outer one of the same name
    connection.query(f"SAVEPOINT {name}")
    try:
        yield
    except BaseException:
        connection.query(f"ROLLBACK TO SAVEPOINT {name}")
        raise
    connection.query(f"RELEASE SAVEPOINT {name}")
