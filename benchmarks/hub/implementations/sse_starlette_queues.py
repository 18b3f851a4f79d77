"""sse-starlette with a queue per subscriber, as its examples do it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import PAYLOAD, encode

queues: defaultdict[str, set[asyncio.Queue[str]]] = defaultdict(set)


async def stream(request: Request) -> EventSourceResponse:
    key = request.query_params["key"]

    async def events() -> AsyncIterator[ServerSentEvent]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        queues[key].add(queue)
        try:
            while True:
                yield ServerSentEvent(await queue.get(), event="notification")
        finally:
            queues[key].discard(queue)

    return EventSourceResponse(events(), sep="\n")


async def publish(request: Request) -> Response:
    first, keys, events = (int(request.query_params[name]) for name in ("first", "keys", "events"))
    for key in range(first, first + keys):
        for _ in range(events):
            data = encode(PAYLOAD)
            for queue in queues[str(key)]:
                queue.put_nowait(data)
    return Response(status_code=204)


app = Starlette(routes=[Route("/stream", stream), Route("/publish", publish, methods=["POST"])])
