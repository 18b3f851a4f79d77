"""broadcaster with Starlette's StreamingResponse, on its memory backend or its Redis one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broadcaster import Broadcast
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from . import PAYLOAD, encode

broadcast = Broadcast(os.environ.get("BENCH_REDIS", "memory://"))


async def stream(request: Request) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        async with broadcast.subscribe(channel=request.query_params["key"]) as subscriber:
            async for event in subscriber:
                yield f"event: notification\ndata: {event.message}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def publish(request: Request) -> Response:
    first, keys, events = (int(request.query_params[name]) for name in ("first", "keys", "events"))
    for key in range(first, first + keys):
        for _ in range(events):
            await broadcast.publish(str(key), encode(PAYLOAD))
    return Response(status_code=204)


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    async with broadcast:
        yield


app = Starlette(
    routes=[Route("/stream", stream), Route("/publish", publish, methods=["POST"])],
    lifespan=lifespan,
)
