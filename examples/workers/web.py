"""The web process, whose open streams get what the workers send. The user is a header here, for the sake of brevity:

uvicorn --app-dir examples/workers web:app &
curl -N -H "x-user: ada" localhost:8000/notifications/stream
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Header
from shared import make_async_store, make_hub

from notistore import Inbox, Recipient
from notistore.web.fastapi import inbox_router

store = make_async_store()
hub = make_hub()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await store.create_schema()
    async with hub:
        yield


def current_recipient(x_user: Annotated[str, Header()]) -> Recipient:
    return Recipient(x_user)


app = FastAPI(lifespan=lifespan)
app.include_router(inbox_router(Inbox(store, hub), current_recipient))
