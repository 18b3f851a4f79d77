"""Notifications in a Peewee application's own database, sent inside its own transaction.

pip install "notistore[peewee]" aiosqlite greenlet
"""

import asyncio

from peewee import CharField
from playhouse.pwasyncio import AsyncSqliteDatabase

from notistore import Inbox, Recipient, SseHub
from notistore_peewee import PeeweeStore

db = AsyncSqliteDatabase("shop.db", pragmas={"journal_mode": "wal"}, lock_type="IMMEDIATE")
store = PeeweeStore(db)
inbox = Inbox(store, SseHub())


class Order(db.Model):
    item = CharField()


async def main() -> None:
    await db.acreate_tables([Order])
    await store.create_schema()
    customer = Recipient("42")
    async with db, db.atomic():  # both rows or neither; published after the commit
        order_id = await Order.insert(item="a lamp").aexecute()
        await inbox.bind(db).send(customer, "order.placed", {"order_id": order_id})
    print(await inbox.unread_count(customer), "unread:", [dict(each.data) for each in await inbox.page(customer)])
    await db.close_pool()


asyncio.run(main())
