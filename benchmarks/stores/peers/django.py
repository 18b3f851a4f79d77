"""Django's QuerySets over a model of one's own, and a cursor for the two statements that they cannot say."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import cache
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections

from notistore import Recipient
from notistore_django.opening import database

from .. import rows
from ..rows import Row
from . import Case


@cache
def set_up() -> dict[bool, Any]:
    """Django, and the models: by whether they are SQLite's."""
    if not settings.configured:
        settings.configure(INSTALLED_APPS=["notistore_django"], LOGGING_CONFIG=None, USE_TZ=True)
        django.setup()
    from django.db import models

    def model(sqlite: bool) -> Any:
        time: Any = models.BigIntegerField if sqlite else models.DateTimeField

        class Meta:
            app_label = f"hand_written_{sqlite}"
            db_table = rows.TABLE
            managed = False

        names = ("tenant", "recipient_type", "recipient_id", "type", "stable_key")
        columns = {
            "id": models.CharField(max_length=36, primary_key=True),
            **{name: models.CharField(max_length=255, null=True) for name in names},
            "data": models.JSONField(),
            **{name: models.CharField(max_length=255, null=True) for name in ("actor_type", "actor_id", "trace_id")},
            "version": models.IntegerField(),
            "read_at": time(null=True),
            "created_at": time(),
            "updated_at": time(),
        }
        return type("HandWritten", (models.Model,), {"__module__": __name__, "Meta": Meta, **columns})

    return {sqlite: model(sqlite) for sqlite in (True, False)}


INSERT = rows.INSERT.replace("?", "%s") + " ON CONFLICT (id) DO NOTHING"
UPSERT = rows.UPSERT.replace("?", "%s")


class Peer:
    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.sqlite = connections[alias].vendor == "sqlite"
        self.rows = set_up()[self.sqlite].objects.using(alias)
        self.values = rows.to_sqlite if self.sqlite else rows.to_postgres

    def insert(self, row: Row) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(INSERT, self.values(row))
            assert cursor.rowcount == 1

    def upsert(self, row: Row) -> Row:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(UPSERT, self.values(row))
            stored = cursor.fetchone()
        return rows.from_sqlite(stored) if self.sqlite else rows.from_postgres(stored)

    def unread_count(self, recipient: Recipient) -> Any:
        return self.inbox(recipient).filter(read_at=None).count()

    def page(self, recipient: Recipient) -> list[Row]:
        newest = self.inbox(recipient).order_by("-created_at", "-id")[:50].values_list()
        found = [Row(*values) for values in newest]
        if self.sqlite:
            for row in found:
                row.read_at = None if row.read_at is None else rows.from_millis(row.read_at)
                row.created_at, row.updated_at = rows.from_millis(row.created_at), rows.from_millis(row.updated_at)
        return found

    def mark_read(self, recipient: Recipient, id: str, at: datetime) -> Any:
        theirs = self.inbox(recipient).filter(id=id, read_at=None)
        return theirs.update(read_at=rows.millis(at) if self.sqlite else at)

    def inbox(self, recipient: Recipient) -> Any:
        return self.rows.filter(tenant=recipient.tenant or "", recipient_type=recipient.type, recipient_id=recipient.id)


class Async:
    """As Django's own async methods do: in the thread for synchronous code."""

    def __init__(self, peer: Peer) -> None:
        for name in ("insert", "upsert", "unread_count", "page", "mark_read"):
            setattr(self, name, sync_to_async(getattr(peer, name)))


@contextmanager
def added(url: str) -> Iterator[str]:
    set_up()
    alias = f"benchmark_{uuid.uuid4().hex}"
    entry = database(url if "sqlite" not in url else url.replace("sqlite:///", "sqlite:////"))
    connections.settings[alias] = connections.configure_settings({"default": {}, alias: entry})[alias]
    yield alias
    del connections.settings[alias]


@contextmanager
def open_sync(url: str) -> Iterator[tuple[Any, Peer]]:
    with added(url) as alias:
        from notistore_django import SyncDjangoStore

        store = SyncDjangoStore(alias)
        store.create_schema()
        yield store, Peer(alias)
        connections[alias].close()


@asynccontextmanager
async def open_async(url: str) -> AsyncIterator[tuple[Any, Async]]:
    with added(url) as alias:
        from notistore_django import DjangoStore

        store = DjangoStore(alias)
        await store.create_schema()
        yield store, Async(await sync_to_async(Peer)(alias))
        await sync_to_async(lambda: connections[alias].close())()


CASES = [
    Case("Django", "sqlite3", "SQLite", open_sync),
    Case("Django", "sqlite3, async", "SQLite", open_async),
    Case("Django", "psycopg", "PostgreSQL", open_sync),
    Case("Django", "psycopg, async", "PostgreSQL", open_async),
]
