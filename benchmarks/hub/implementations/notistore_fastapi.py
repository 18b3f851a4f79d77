"""notistore's router in FastAPI."""

from __future__ import annotations

from fastapi import FastAPI

from notistore import Recipient
from notistore.web.fastapi import inbox_router

from .notistore_asgi import inbox, lifespan, publish


def recipient(key: str = "0") -> Recipient:
    return Recipient(key)


app = FastAPI(lifespan=lifespan)
app.include_router(inbox_router(inbox, recipient))
app.add_route("/publish", publish, methods=["POST"])
