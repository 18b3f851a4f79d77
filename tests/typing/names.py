"""The names that pages leave out of their Python blocks: tools/types.py imports them into the blocks."""
# ruff: noqa: F401

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from notistore import Actor, Inbox, InvalidNotification, NotificationStore, Recipient, SseHub, StoreError
from notistore.sync import SyncInbox
from notistore.web import inbox_app
from notistore_conformance import (
    BackplaneImplementation,
    BackplaneSuite,
    NotificationStoreSuite,
    StoreImplementation,
    WebSuite,
)
from notistore_django import SyncDjangoStore
from notistore_peewee import PeeweeStore, SyncPeeweeStore, notification_model
from notistore_prisma import PrismaStore
from notistore_redis import RedisBackplane, RedisStore
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore, notifications_table
from notistore_tortoise import TortoiseStore

app: Any  # of whichever framework the page is about
async_engine: AsyncEngine
blocking: SyncInbox
customer: Recipient
hub: SseHub
inbox: Inbox
recipient: Recipient
store: SQLAlchemyStore
user: Recipient
