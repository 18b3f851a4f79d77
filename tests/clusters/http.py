"""HTTP/1.1 over a connection for each request: light enough for a thousand pages in one process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit


class NoResponse(Exception):
    """The connection was refused, or ended before the response was complete."""


@dataclass
class Answer:
    status: int
    text: str


async def request(address: str, method: str, path: str, headers: dict[str, str], body: str = "") -> Answer:
    """Send one request and read its response, within 30 s.

    Raises:
        NoResponse: there was no complete response.
    """
    try:
        async with asyncio.timeout(60), sent(address, method, path, headers | {"connection": "close"}, body) as reader:
            status, length = await read_head(reader)
            return Answer(status, (await reader.readexactly(length)).decode())
    except (OSError, EOFError, TimeoutError) as error:
        raise NoResponse(type(error).__name__) from error


@asynccontextmanager
async def sent(
    address: str, method: str, path: str, headers: dict[str, str], body: str = ""
) -> AsyncIterator[asyncio.StreamReader]:
    """Connect and send a request. Yields the reader of its response. Raises OSError."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        fields = headers | {"host": "test", "content-length": str(len(body.encode()))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
        yield reader
    finally:
        writer.close()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Read a response's head: its status and the length of its body. Raises EOFError."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = re.search(rb"\ncontent-length: (\d+)", head)
    return int(head.split()[1]), int(length[1]) if length else 0
