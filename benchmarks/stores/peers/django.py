"""A cursor of Django's connection."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections

from notistore.sql import Dialect
from notistore_django.open_url import database

from . import PSYCOPG, AsyncPeer, Case, Rows, SyncPeer


def fetch(alias: str, sql: str, parameters: Sequence[Any]) -> Rows:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def change(alias: str, sql: str, parameters: Sequence[Any]) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.rowcount


@contextmanager
def added(url: str) -> Iterator[tuple[str, Dialect]]:
    if not settings.configured:
        settings.configure(INSTALLED_APPS=["notistore_django"], LOGGING_CONFIG=None, USE_TZ=True)
        django.setup()
    sqlite = url.startswith("sqlite")
    alias = f"benchmark_{uuid.uuid4().hex}"
    entry = database(url.replace("sqlite:///", "sqlite:////") if sqlite else url)
    connections.settings[alias] = connections.configure_settings({"default": {}, alias: entry})[alias]
    yield alias, Dialect("sqlite", "%s") if sqlite else PSYCOPG
    del connections.settings[alias]


@contextmanager
def open_sync(url: str) -> Iterator[tuple[Any, SyncPeer]]:
    with added(url) as (alias, dialect):
        from notistore_django import SyncDjangoStore

        store = SyncDjangoStore(alias)
        store.create_schema()
        yield store, SyncPeer(dialect, partial(fetch, alias), partial(change, alias))
        connections[alias].close()


@asynccontextmanager
async def open_async(url: str) -> AsyncIterator[tuple[Any, AsyncPeer]]:
    """As Django's own async methods do: in the thread for synchronous code."""
    with added(url) as (alias, dialect):
        from notistore_django import DjangoStore

        store = DjangoStore(alias)
        await store.create_schema()
        yield store, AsyncPeer(dialect, partial(sync_to_async(fetch), alias), partial(sync_to_async(change), alias))
        await sync_to_async(lambda: connections[alias].close())()


CASES = [
    Case("Django", "sqlite3", "SQLite", open_sync),
    Case("Django", "sqlite3, async", "SQLite", open_async),
    Case("Django", "psycopg", "PostgreSQL", open_sync),
    Case("Django", "psycopg, async", "PostgreSQL", open_async),
]
