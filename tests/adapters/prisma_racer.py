"""A process that writes the same rows as others: python -m tests.adapters.prisma_racer PROVIDER URL SEED.

Prints what its calls reported, as JSON. Any error ends it.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import sys
from collections import Counter
from datetime import UTC, datetime

from notistore import Notification, Recipient
from notistore.model import utc_now
from notistore_prisma import PrismaStore
from tools.prisma_engine import generate

HOT, MARKED, DOOMED = Recipient("hot"), Recipient("marked"), Recipient("doomed")
LONG_AGO = datetime(1975, 1, 1, tzinfo=UTC)
KEYS = ("a", "b", "c")
STEPS, TASKS = 12, 4


async def race(store: PrismaStore, chance: random.Random) -> Counter[str]:
    marked = [row.id for row in await store.page(MARKED, limit=100)]
    doomed = [row.id for row in await store.page(DOOMED, limit=100)]
    done: Counter[str] = Counter()
    for _ in range(STEPS):
        key = chance.choice(KEYS)
        await store.upsert(Notification.new(HOT, "test", key=key))
        done[key] += 1
        done["marked"] += await store.mark_read(MARKED, *chance.sample(marked, min(5, len(marked))), at=utc_now())
        done["deleted"] += await store.delete(DOOMED, *chance.sample(doomed, min(3, len(doomed))))
        match chance.randrange(10):
            case 0:
                done["marked"] += await store.mark_all_read(MARKED, at=utc_now())
            case 1:
                done["deleted"] += await store.prune(older_than=LONG_AGO, limit=4)
            case 2:
                await store.mark_all_read(HOT, at=utc_now())
    return done


async def main(provider: str, url: str, seed: str) -> None:
    generate(provider)
    prisma = importlib.import_module(f"notistore_{provider}_asyncio")
    async with prisma.Prisma(datasource={"url": url}) as client:
        store = PrismaStore(client)
        print("ready", flush=True)
        sys.stdin.readline()
        done = await asyncio.gather(*(race(store, random.Random(f"{seed}.{task}")) for task in range(TASKS)))
        print(json.dumps(sum(done, Counter())))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
