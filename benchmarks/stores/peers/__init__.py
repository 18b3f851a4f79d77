"""What each store is measured against: the same statements sent by hand on the same ORM's connection.

A peer takes and returns `Row`s, a plain dataclass. It checks nothing, translates no errors and tries nothing again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from notistore import Recipient
from notistore.sql import Dialect, Statements, Table, statements_for

from ..rows import Row, from_values, millis, to_postgres, to_sqlite

POSTGRESQL = Dialect("postgresql", "%s")
PSYCOPG = Dialect("postgresql", "%s", times_as_milliseconds=True)
ASYNCPG = Dialect("postgresql", "$")
SQLITE = Dialect("sqlite")

Rows = Iterable[Iterable[Any]]


class Peer(Protocol):
    """The five calls measured, all of them async or none."""

    def insert(self, row: Row) -> Any: ...
    def upsert(self, row: Row) -> Any: ...
    def unread_count(self, recipient: Recipient) -> Any: ...
    def page(self, recipient: Recipient) -> Any: ...
    def mark_read(self, recipient: Recipient, id: str, at: Any) -> Any: ...


Opened = AbstractContextManager[tuple[Any, Peer]] | AbstractAsyncContextManager[tuple[Any, Peer]]


@dataclass(frozen=True)
class Case:
    """One store on one driver. `open(url)` gives the store, its table created, and its peer on the same connections."""

    adapter: str
    driver: str
    database: Literal["SQLite", "PostgreSQL", "Redis"]
    open: Callable[[str], Opened]

    @property
    def name(self) -> str:
        return f"{self.adapter}, {self.driver}"


def statements(dialect: Dialect) -> Statements:
    """The store's own."""
    return statements_for(Table(), dialect)


class _Statements:
    """The five statements, and rows as their parameters."""

    def __init__(self, dialect: Dialect) -> None:
        its = statements(dialect)
        self.insert_row = its.insert.sql
        self.upsert_row = its.upsert.sql
        self.count_unread = its.count_unread.sql
        self.select_page = its.page(False, 0, False, False).sql
        self.mark = its.mark_one_read.sql
        self.values = to_sqlite if dialect.name == "sqlite" else to_postgres
        self.time: Callable[[datetime], Any] = millis if dialect.name == "sqlite" else _itself


class SyncPeer(_Statements):
    """By hand on a blocking connection.

    Args:
        fetch: sends a statement with its parameters; returns its rows.
        change: the same; returns how many rows were changed.
    """

    def __init__(
        self, dialect: Dialect, fetch: Callable[[str, Sequence[Any]], Rows], change: Callable[[str, Sequence[Any]], int]
    ) -> None:
        super().__init__(dialect)
        self.fetch = fetch
        self.change = change

    def insert(self, row: Row) -> None:
        self.change(self.insert_row, self.values(row))

    def upsert(self, row: Row) -> Row:
        [stored] = self.fetch(self.upsert_row, self.values(row))
        return from_values(stored)

    def unread_count(self, recipient: Recipient) -> Any:
        [[count]] = self.fetch(self.count_unread, inbox_of(recipient))
        return count

    def page(self, recipient: Recipient) -> list[Row]:
        return [from_values(each) for each in self.fetch(self.select_page, [*inbox_of(recipient), 50])]

    def mark_read(self, recipient: Recipient, id: str, at: datetime) -> int:
        return self.change(self.mark, [self.time(at), *inbox_of(recipient), id])


class AsyncPeer(_Statements):
    """The same, asynchronous."""

    def __init__(
        self,
        dialect: Dialect,
        fetch: Callable[[str, Sequence[Any]], Awaitable[Rows]],
        change: Callable[[str, Sequence[Any]], Awaitable[int]],
    ) -> None:
        super().__init__(dialect)
        self.fetch = fetch
        self.change = change

    async def insert(self, row: Row) -> None:
        await self.change(self.insert_row, self.values(row))

    async def upsert(self, row: Row) -> Row:
        [stored] = await self.fetch(self.upsert_row, self.values(row))
        return from_values(stored)

    async def unread_count(self, recipient: Recipient) -> Any:
        [[count]] = await self.fetch(self.count_unread, inbox_of(recipient))
        return count

    async def page(self, recipient: Recipient) -> list[Row]:
        return [from_values(each) for each in await self.fetch(self.select_page, [*inbox_of(recipient), 50])]

    async def mark_read(self, recipient: Recipient, id: str, at: datetime) -> int:
        return await self.change(self.mark, [self.time(at), *inbox_of(recipient), id])


def inbox_of(recipient: Recipient) -> list[Any]:
    return [recipient.tenant or "", recipient.type, recipient.id]


def _itself(at: datetime) -> datetime:
    return at
