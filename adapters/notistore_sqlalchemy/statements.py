"""Each call of the contract as one statement, built once for each table and choice of options.

A statement that is the same object every time costs nothing to build and hits SQLAlchemy's cache of compiled SQL.
Bound names never equal a column's: SQLAlchemy would take those for values to set.

Values go to the driver and come from it as they are: notistore.columns turns them, for all SQL adapters alike. So the
table here is always `untyped(table)`, and the dialect "postgresql", "mysql" or "sqlite".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Update,
    bindparam,
    delete,
    func,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy import table as table_clause
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.types import NullType

from notistore.columns import COLUMNS, REPLACED

from .schema import Json

_Where = Sequence[ColumnElement[bool]]


@lru_cache
def untyped(table: Table) -> Table:
    """The same table, with columns of no type: nothing converts or casts what goes through them."""
    return Table(table.name, MetaData(), *(Column(name, NullType) for name in COLUMNS), schema=table.schema)


@lru_cache
def insert(table: Table, dialect: str) -> Insert:
    """Rows whose id is taken are skipped, and the ids that were not come back: an error would spoil a transaction of
    the host's. MySQL cannot, but survives the error."""
    if dialect == "mysql":
        return mysql.insert(table)
    build = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return build(table).on_conflict_do_nothing(index_elements=[table.c.id]).returning(table.c.id)


def insert_many(connection: Connection, table: Table) -> str:
    """One row, for the driver's own executemany: SQLAlchemy prepares the values of every row, which takes longer than
    to insert it."""
    dialect = connection.dialect
    mark = "?" if dialect.name == "sqlite" else "${}" if dialect.driver == "asyncpg" else "%s"
    marks = ", ".join(mark.format(place) for place in range(1, len(COLUMNS) + 1))
    there = table_clause(table.name, schema=connection.schema_for_object(table))  # by the engine's translation, if any
    name = dialect.identifier_preparer.format_table(there)
    return f"INSERT INTO {name} ({', '.join(COLUMNS)}) VALUES ({marks})"


@lru_cache
def taken(table: Table) -> Select[Any]:
    return select(table.c.id).where(table.c.id.in_(_names("ids"))).limit(1)


@lru_cache
def upsert(table: Table, dialect: str, *, renotify: bool, returning: bool, zoned: bool) -> Insert:
    fresh: dict[str, Any] = {"version": table.c.version + 1} | ({"read_at": null()} if renotify else {})
    if dialect == "mysql":
        into = mysql.insert(table)
        statement: Insert = into.on_duplicate_key_update({name: into.inserted[name] for name in REPLACED} | fresh)
    else:
        new = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
        replaced = {name: new.excluded[name] for name in REPLACED}
        statement = new.on_conflict_do_update(index_elements=[table.c.id], set_=replaced | fresh)
    return statement.returning(*_columns(table, zoned)) if returning else statement


@lru_cache
def get(table: Table, *, zoned: bool) -> Select[Any]:
    return select(*_columns(table, zoned)).where(*_inbox(table), table.c.id == bindparam("wanted"))


@lru_cache
def page(
    table: Table, dialect: str, *, unread_only: bool, types: bool, before: bool, offset: bool, zoned: bool
) -> Select[Any]:
    where = _filtered(table, unread=unread_only, types=types)
    if before:
        at: BindParameter[Any] = bindparam("before_at")
        # A row-value comparison, or a plain OR, is not a bound on the index for every planner; this is.
        where += [table.c.created_at <= at, or_(table.c.created_at < at, table.c.id < bindparam("before_id"))]
    order: list[ColumnElement[Any]] = [table.c.created_at, table.c.id]
    if unread_only and dialect == "postgresql":
        # It is NULL throughout, but only so does PostgreSQL see that the index is in order; MariaDB only without.
        order.insert(0, table.c.read_at)
    statement = select(*_columns(table, zoned)).where(*where).order_by(*(column.desc() for column in order))
    statement = statement.limit(bindparam("at_most", type_=Integer))
    return statement.offset(bindparam("skip", type_=Integer)) if offset else statement


@lru_cache
def count(table: Table, *, unread: bool, types: bool, capped: bool) -> Select[Any]:
    where = _filtered(table, unread=unread, types=types)
    if not capped:
        return select(func.count()).select_from(table).where(*where)
    some: Select[Any] = (
        select(literal_column("1")).select_from(table).where(*where).limit(bindparam("at_most", type_=Integer))
    )
    return select(func.count()).select_from(some.subquery())


@lru_cache
def unread_counts(table: Table, dialect: str, *, types: bool, capped: bool) -> Select[Any]:
    """Rows of tenant, recipient type, recipient id and count; inboxes with nothing unread may be left out.

    Each inbox is counted by itself, as `count` does, so that a planner has no choice but the index.
    """
    theirs = [table.c.tenant, table.c.recipient_type, table.c.recipient_id]
    where: list[ColumnElement[bool]] = [table.c.read_at.is_(None)]
    if types:
        where.append(table.c.type.in_(_names("types")))
    if dialect == "mysql":  # MariaDB's derived tables cannot refer to an outer query; its row comparisons use the index
        where.append(tuple_(*theirs).in_(bindparam("inboxes", expanding=True)))
        return select(*theirs, func.count()).where(*where).group_by(*theirs)
    inboxes: BindParameter[Any] = bindparam("inboxes", type_=Json)
    if dialect == "postgresql":
        asked = func.jsonb_array_elements(inboxes).table_valued("value")
        parts = [func.jsonb_extract_path_text(asked.c.value, str(place)) for place in range(3)]
    else:
        asked = func.json_each(inboxes).table_valued("value")
        parts = [func.json_extract(asked.c.value, f"$[{place}]") for place in range(3)]
    where += [column == part for column, part in zip(theirs, parts, strict=True)]
    some: Select[Any] = select(literal_column("1")).select_from(table).where(*where).correlate(asked)
    if capped:
        some = some.limit(bindparam("at_most", type_=Integer))
    return select(*parts, select(func.count()).select_from(some.subquery()).scalar_subquery())


@lru_cache
def mark_read(table: Table, dialect: str) -> Update:
    where = [*_named(table), table.c.read_at.is_(None)]
    return update(table).where(*_in_order(table, dialect, where)).values(read_at=bindparam("at"))


@lru_cache
def mark_unread(table: Table, dialect: str) -> Update:
    where = [*_named(table), table.c.read_at.is_not(None)]
    return update(table).where(*_in_order(table, dialect, where)).values(read_at=null())


@lru_cache
def mark_all_read(table: Table, dialect: str, *, types: bool, seen: bool) -> Update:
    where = _filtered(table, unread=True, types=types)
    if seen:
        where.append(table.c.updated_at <= bindparam("seen"))
    return update(table).where(*_in_order(table, dialect, where)).values(read_at=bindparam("at"))


@lru_cache
def remove(table: Table, dialect: str) -> Delete:
    return delete(table).where(*_in_order(table, dialect, _named(table)))


@lru_cache
def remove_inbox(table: Table, dialect: str) -> Delete:
    return delete(table).where(*_in_order(table, dialect, _inbox(table)))


@lru_cache
def remove_tenant(table: Table, dialect: str) -> Delete:
    return delete(table).where(*_in_order(table, dialect, [table.c.tenant == bindparam("in_tenant")]))


@lru_cache
def remove_ids(table: Table) -> Delete:
    return delete(table).where(table.c.id.in_(_names("ids")))


@lru_cache
def old(table: Table, *, only_read: bool, after: bool) -> Select[Any]:
    """The next rows to prune, oldest first; those that someone is changing right now are left for another time."""
    where = _old(table, only_read=only_read)
    if after:
        at: BindParameter[Any] = bindparam("after_at")
        where += [table.c.updated_at >= at, or_(table.c.updated_at > at, table.c.id > bindparam("after_id"))]
    return (
        select(table.c.id, table.c.updated_at)
        .where(*where)
        .order_by(table.c.updated_at, table.c.id)
        .limit(bindparam("at_most", type_=Integer))
        .with_for_update(skip_locked=True)
    )


@lru_cache
def remove_old(table: Table, *, only_read: bool) -> Delete:
    """The condition again: SQLite locks nothing on reading, so that a row may have been changed since."""
    return remove_ids(table).where(*_old(table, only_read=only_read))


def _columns(table: Table, zoned: bool) -> list[ColumnElement[Any]]:
    """Where a driver gives times in the session's zone, they are asked for in UTC: to move them takes it far longer."""
    return [
        func.timezone(literal_column("'UTC'"), table.c[name]) if zoned and name.endswith("_at") else table.c[name]
        for name in COLUMNS
    ]


def _inbox(table: Table) -> list[ColumnElement[bool]]:
    return [
        table.c.tenant == bindparam("in_tenant"),
        table.c.recipient_type == bindparam("in_type"),
        table.c.recipient_id == bindparam("in_id"),
    ]


def _names(name: str) -> BindParameter[Any]:
    return bindparam(name, expanding=True, type_=String())


def _named(table: Table) -> list[ColumnElement[bool]]:
    return [*_inbox(table), table.c.id.in_(_names("ids"))]


def _filtered(table: Table, *, unread: bool, types: bool) -> list[ColumnElement[bool]]:
    where = _inbox(table)
    if unread:
        where.append(table.c.read_at.is_(None))
    if types:
        where.append(table.c.type.in_(_names("types")))
    return where


def _old(table: Table, *, only_read: bool) -> list[ColumnElement[bool]]:
    where = [table.c.updated_at < bindparam("older_than")]
    return [*where, table.c.read_at.is_not(None)] if only_read else where


def _in_order(table: Table, dialect: str, where: _Where) -> _Where:
    """PostgreSQL locks rows in whatever order it meets them; two calls that meet them in opposite orders deadlock.

    The condition stands outside too, or a planner with many rows to change would look for them in the whole table.
    """
    if dialect != "postgresql":
        return where
    locked = select(table.c.id).where(*where).order_by(table.c.id).with_for_update().correlate(None)
    return [*where, table.c.id.in_(locked)]
