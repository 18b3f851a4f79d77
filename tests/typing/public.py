"""What the public names are to a type checker: mypy and pyright check this file, and nothing runs it.

Each `type: ignore` marks a mistake that both must report: one that is not reported is an error itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_type

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from notistore import Cursor, Inbox, MemoryStore, Message, Notification, NotificationStore, Recipient, SseHub, supports
from notistore.sync import SyncInbox, SyncNotificationStore
from notistore_django import DjangoStore, SyncDjangoStore
from notistore_peewee import PeeweeStore, SyncPeeweeStore
from notistore_prisma import PrismaStore, SyncPrismaStore
from notistore_prisma.client import Client
from notistore_redis import RedisStore, SyncRedisStore
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore
from notistore_tortoise import TortoiseStore


def every_store_is_one(
    engine: AsyncEngine, database: object, redis: AsyncRedis, prisma: Client
) -> list[NotificationStore]:
    return [
        MemoryStore(),
        SQLAlchemyStore(engine),
        DjangoStore(),
        TortoiseStore(),
        PeeweeStore(database),
        PrismaStore(prisma),
        RedisStore(redis),
    ]


def every_sync_store_is_one(
    engine: Engine, database: object, redis: Redis, prisma: Client
) -> list[SyncNotificationStore]:
    return [
        SyncSQLAlchemyStore(engine),
        SyncDjangoStore(),
        SyncPeeweeStore(database),
        SyncPrismaStore(prisma),
        SyncRedisStore(redis),
    ]


@dataclass(frozen=True)
class InvoicePaid:
    invoice: int

    type = "invoice.paid"

    @property
    def data(self) -> Mapping[str, object]:
        return {"invoice": self.invoice}


async def an_inbox(inbox: Inbox, user: Recipient, cursor: Cursor) -> None:
    assert_type(await inbox.send(user, "invoice.paid", {"invoice": 7}, key="invoice:7", publish=False), Notification)
    assert_type(await inbox.send(user, InvoicePaid(7)), Notification)
    assert_type(await inbox.send_many([user], "hello"), list[Notification])
    assert_type(await inbox.get(user, key="invoice:7"), Notification | None)
    assert_type(await inbox.page(user, before=cursor), Sequence[Notification])
    assert_type(await inbox.mark_read(user, "a", "b"), int)
    assert_type(inbox.bind(object()), Inbox)
    await inbox.send("42", "hello")  # type: ignore[arg-type]
    await inbox.send(user, "hello", push=False)  # type: ignore[call-arg]
    await inbox.page(user, types=["a"], limit="10")  # type: ignore[arg-type]
    print(inbox.send(user, "hello").version)  # type: ignore[attr-defined]


def a_sync_inbox(engine: Engine, user: Recipient) -> None:
    with SyncInbox(SyncSQLAlchemyStore(engine), SseHub()) as inbox:
        assert_type(inbox, SyncInbox)
        assert_type(inbox.send(user, "invoice.paid", {"invoice": 7}, key="invoice:7", publish=False), Notification)
        assert_type(inbox.send(user, InvoicePaid(7)), Notification)
        assert_type(inbox.send_many([user], "hello"), list[Notification])
        assert_type(inbox.get(user, key="invoice:7"), Notification | None)
        assert_type(inbox.page(user), Sequence[Notification])
        assert_type(inbox.mark_read(user, "a", "b"), int)
        inbox.send("42", "hello")  # type: ignore[arg-type]
        inbox.send(user, "hello", push=False)  # type: ignore[call-arg]
    SyncInbox(MemoryStore())  # type: ignore[arg-type]
    Inbox(SyncSQLAlchemyStore(engine))  # type: ignore[arg-type]


async def an_optional_part(store: NotificationStore, user: Recipient) -> None:
    store.erase(user)  # type: ignore[attr-defined]
    if supports(store, "erase"):
        assert_type(await store.erase(user), int)


a_message: Message = InvoicePaid(7)
