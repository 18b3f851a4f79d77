"""Notifications through Prisma Client Python: pip install "notistore[prisma]", prisma generate, python main.py."""

import asyncio

from client import Prisma

from notistore import Inbox, Recipient
from notistore_prisma import PrismaStore


async def main() -> None:
    async with Prisma() as client:
        store = PrismaStore(client)
        await store.create_schema()  # an application with migrations has it in one of those
        inbox = Inbox(store)
        ada = Recipient("ada")
        async with client.tx() as transaction:  # whatever else the application writes here, it commits with that
            await inbox.bind(transaction).send(ada, "invoice.paid", {"invoice": 7})
        for percent in (20, 60, 100):
            await inbox.send(ada, "export.progress", {"progress": percent}, key="export:9")
        for notification in await inbox.page(ada, limit=2):
            print(notification.type, notification.data, f"version {notification.version}")
        print(await inbox.unread_count(ada), "unread")


asyncio.run(main())
