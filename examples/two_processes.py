"""Two web processes and a worker, one bell: `pip install "notistore[sqlalchemy,fastapi,redis]" aiosqlite uvicorn`, then

uvicorn --app-dir examples two_processes:app --port 8001 &
uvicorn --app-dir examples two_processes:app --port 8002 &
curl -N localhost:8001/notifications/stream &
python examples/two_processes.py

The worker is plain blocking code; what it sends, and what a POST to either port sends, reaches every open stream.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from notistore import Inbox, Recipient, SseHub
from notistore.sync import SyncInbox
from notistore.web.fastapi import inbox_router
from notistore_redis import RedisBackplane
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore

DATABASE = os.environ.get("DATABASE", "two_processes.db")
REDIS = os.environ.get("REDIS", "redis://localhost:6379")
SECRET = os.environ.get("SECRET", "set one of your own here")  # the same in every process, and known to no one else
ADA = Recipient("ada")

engine = create_async_engine(f"sqlite+aiosqlite:///{DATABASE}")
store = SQLAlchemyStore(engine)
redis = Redis.from_url(REDIS)
hub = SseHub(RedisBackplane(redis), secret=SECRET)
inbox = Inbox(store, hub)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await store.create_schema()
    async with hub:
        yield
    await redis.aclose()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(inbox_router(inbox, lambda: ADA))


@app.post("/invoices/{number}/pay")
async def pay(number: int) -> None:
    await inbox.send(ADA, "invoice.paid", {"title": f"Invoice {number} was paid"})


def work() -> None:
    """A worker: its bar fills in one row, silently, and rings when it is done."""
    database = create_engine(f"sqlite:///{DATABASE}")
    hub = SseHub(RedisBackplane(Redis.from_url(REDIS)), secret=SECRET)
    with SyncInbox(SyncSQLAlchemyStore(database), hub) as inbox:
        for percent in (0, 50):
            inbox.send(ADA, "export", {"title": "Exporting", "progress": percent}, key="export:9", renotify=False)
        inbox.send(ADA, "export", {"title": "Export is ready", "progress": 100}, key="export:9")
    database.dispose()


if __name__ == "__main__":
    work()
