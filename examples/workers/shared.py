"""What the web process and the workers have in common: where the rows are, and what carries events between them."""

import os

from redis.asyncio import Redis
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from notistore import SseHub
from notistore.sync import SyncInbox
from notistore_redis import RedisBackplane
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore

DATABASE = os.environ.get("DATABASE", "postgresql://localhost/app")
REDIS = os.environ.get("REDIS", "redis://localhost:6379")
SECRET = os.environ.get("SECRET", "set one of your own here")  # the same in every process, and known to no one else


def make_hub() -> SseHub:
    return SseHub(RedisBackplane(Redis.from_url(REDIS)), secret=SECRET)


def make_async_store() -> SQLAlchemyStore:
    return SQLAlchemyStore(create_async_engine(DATABASE.replace("postgresql:", "postgresql+asyncpg:")))


def make_sync_inbox() -> SyncInbox:
    """Connects to nothing before its `start()` or its `with` block, so that a worker may fork in between."""
    return SyncInbox(
        SyncSQLAlchemyStore(create_engine(DATABASE.replace("postgresql:", "postgresql+psycopg:"))), make_hub()
    )
