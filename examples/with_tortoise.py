"""A FastAPI app on Tortoise ORM: `pip install "notistore[tortoise,fastapi]" uvicorn`, then

python examples/with_tortoise.py [PORT]
curl --no-buffer --header "X-User: ada" localhost:8000/notifications/stream &
curl --header "X-User: ada" --request POST localhost:8000/buy
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request
from tortoise.contrib.fastapi import RegisterTortoise
from tortoise.migrations.api.migrate import migrate
from tortoise.transactions import in_transaction

from notistore import Inbox, Recipient, SseHub
from notistore.web.fastapi import inbox_router
from notistore_tortoise import TortoiseStore

NOTISTORE = {
    "models": ["notistore_tortoise.models"],
    "migrations": "notistore_tortoise.migrations",
    "default_connection": "default",
}
TORTOISE_ORM = {"connections": {"default": "sqlite://with_tortoise.db"}, "apps": {"notistore": NOTISTORE}}

hub = SseHub()
inbox = Inbox(TortoiseStore(), hub).bind(None)  # it publishes after the commit


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with RegisterTortoise(app, config=TORTOISE_ORM), hub:
        yield


def recipient_of(request: Request) -> Recipient | None:
    user = request.headers.get("x-user")
    return Recipient(user) if user else None


app = FastAPI(lifespan=lifespan)
app.include_router(inbox_router(inbox, recipient_of))


@app.post("/buy")
async def buy(request: Request) -> str:
    async with in_transaction():  # the order and its notification, both or neither
        sent = await inbox.send(recipient_of(request) or Recipient("guest"), "order.paid", {"title": "Thank you"})
    return sent.id


if __name__ == "__main__":
    asyncio.run(migrate(config=TORTOISE_ORM))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
