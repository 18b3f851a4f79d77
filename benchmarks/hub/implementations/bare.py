"""The limit: an asyncio Protocol that writes bytes made beforehand, without HTTP, heartbeats or a bound."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from typing import cast
from urllib.parse import parse_qs

import uvloop

from . import PAYLOAD, encode

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = f"event: notification\ndata: {encode(PAYLOAD)}\n\n".encode()

streams: defaultdict[str, set[asyncio.Transport]] = defaultdict(set)


class Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self.key = ""

    def data_received(self, data: bytes) -> None:
        _, target, _ = data.decode().split(" ", 2)
        path, _, query = target.partition("?")
        arguments = {name: values[0] for name, values in parse_qs(query).items()}
        if path == "/stream":
            self.key = arguments["key"]
            streams[self.key].add(self.transport)
            self.transport.write(HEAD)
            return
        first, keys, events = (int(arguments[name]) for name in ("first", "keys", "events"))
        chunk = b"%x\r\n%b\r\n" % (len(EVENT) * events, EVENT * events)
        for key in range(first, first + keys):
            for stream in streams[str(key)]:
                stream.write(chunk)
        self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        streams[self.key].discard(self.transport)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
