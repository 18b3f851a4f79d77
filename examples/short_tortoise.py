"""Tortoise ORM in one script: `pip install "notistore[tortoise]"`. with_tortoise.py is a whole FastAPI app."""

import asyncio

from tortoise import Tortoise
from tortoise.transactions import in_transaction

from notistore import Inbox, Recipient, SseHub
from notistore_tortoise import TortoiseStore

inbox = Inbox(TortoiseStore(), SseHub()).bind(None)  # it joins whatever transaction its caller is in


async def main() -> None:
    await Tortoise.init(db_url="sqlite://shop.db", modules={"notistore": ["notistore_tortoise.models"]})
    await Tortoise.generate_schemas()  # in an application: `tortoise migrate`
    async with in_transaction():  # the order and its notification, both or neither; published after the commit
        await inbox.send(Recipient("42"), "order.placed", {"order_id": 1})
    for row in await inbox.page(Recipient("42")):
        print(row.type, dict(row.data), "read" if row.read_at else "unread")
    await Tortoise.close_connections()


asyncio.run(main())
