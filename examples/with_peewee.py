"""Notifications in a Peewee application's own database, sent inside its own transaction.

pip install "notistore[peewee]" aiosqlite greenlet
"""

import asyncio

from peewee import CharField
from playhouse.pwasyncio import AsyncSqliteDatabase

from notistore import Inbox, Recipient, SseHub
from notistore_peewee import PeeweeStore

db = AsyncSqliteDatabase("shop.db", pragmas={"journal_mode": "wal"}, lock_type="IMMEDIATE")
inbox = Inbox(PeeweeStore(db), SseHub())


class Order(db.Model):
    item = CharField()


async def main() -> None:
    await db.acreate_tables([Order])
    await inbox.store.create_schema()
    customer = Recipient("42")
    async with db, db.atomic():  # both rows or neither; open streams hear of it after the commit
        order = await Order.acreate(item="a lamp")
        await inbox.bind(db).send(customer, "order.placed", {"order_id": order.id})
    print(await inbox.unread_count(customer), "unread:", [dict(each.data) for each in await inbox.page(customer)])
    await db.close_pool()


asyncio.run(main())
