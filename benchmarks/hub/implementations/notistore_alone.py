"""notistore's ASGI app as uvicorn runs it, with nothing around it."""

from __future__ import annotations

from starlette.routing import Route

from notistore.web import inbox_app

from .notistore_asgi import inbox, lifespan, publish, recipient, send_many

app = inbox_app(inbox, recipient)
app.router.lifespan_context = lifespan
app.router.routes += [
    Route("/publish", publish, methods=["POST"]),
    Route("/send-many", send_many, methods=["POST"]),
]
