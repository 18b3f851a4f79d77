"""An inbox in Redis: `pip install "notistore[redis]"`, then

python examples/with_redis.py redis://localhost:6379
"""

import asyncio
import sys

from redis.asyncio import Redis

from notistore import Inbox, Recipient
from notistore_redis import RedisStore


async def main(url: str) -> None:
    async with Redis.from_url(url) as client:  # the application's own: any settings will do
        inbox = Inbox(RedisStore(client, keep_last=1000))
        ada = Recipient("ada", tenant="acme")
        await inbox.send(ada, "invoice.paid", {"invoice_id": 7})
        for percent in (0, 50, 100):  # one row, replaced in place
            await inbox.send(ada, "export.progress", {"progress": percent}, key="export:9", renotify=False)
        for row in await inbox.page(ada, types=["invoice.paid", "export.progress"]):
            print(row.type, dict(row.data), f"version {row.version}", "read" if row.read_at else "unread")
        print(await inbox.mark_all_read(ada), "marked,", await inbox.unread_count(ada), "unread")
        print(await inbox.delete(ada, *(row.id for row in await inbox.page(ada))), "deleted")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "redis://localhost:6379"))
