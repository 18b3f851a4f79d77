"""FastAPI's own server-sent events (`fastapi.sse`) with a queue per subscriber."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterable

from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent

from . import PAYLOAD, encode

queues: defaultdict[str, set[asyncio.Queue[str]]] = defaultdict(set)
app = FastAPI()


@app.get("/stream", response_class=EventSourceResponse)
async def stream(key: str) -> AsyncIterable[ServerSentEvent]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues[key].add(queue)
    try:
        while True:
            yield ServerSentEvent(raw_data=await queue.get(), event="notification")
    finally:
        queues[key].discard(queue)


@app.post("/publish", status_code=204)
async def publish(first: int, keys: int, events: int) -> None:
    for key in range(first, first + keys):
        for _ in range(events):
            data = encode(PAYLOAD)
            for queue in queues[str(key)]:
                queue.put_nowait(data)
