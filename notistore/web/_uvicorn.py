"""Writes to uvicorn's transport directly, if a stream got uvicorn's own `send`, not one wrapped by middleware.

For each chunk of a body uvicorn's `send` checks its state, frames the chunk and writes it to the transport. For an
event to thousands of streams that is more than half of the cost. Here the chunk is framed once for all streams, and
written to each transport without a coroutine or a task.

No middleware is bypassed: a `send` that middleware has wrapped is not recognised and is awaited as usual. So is the
`send` of another server, or of a uvicorn whose internals have changed. While a transport has unsent bytes, because of a
slow reader, a write awaits `send` too, which waits until the transport accepts more, so that the stream's backlog stays
bounded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, Final, Protocol

from ..hub import Subscription, Writer
from ..hub.writer import Write

__all__ = ["UvicornWriter", "uvicorn_writer"]

_KNOWN: Final = ("uvicorn.protocols.http.httptools_impl", "uvicorn.protocols.http.h11_impl")


class Transport(Protocol):
    """The methods used of `asyncio.WriteTransport`, from which uvloop's transports do not inherit."""

    def write(self, data: bytes, /) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def is_closing(self) -> bool: ...
    def abort(self) -> None: ...


def uvicorn_writer(
    stream: Subscription,
    write: Write,
    scope: MutableMapping[str, Any],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> UvicornWriter | None:
    """A writer for a response whose headers have been sent by this `send`; None if `send` is not known to be uvicorn's.

    The response must have been begun without a content-length, so that it is sent in chunks.
    """
    cycle = getattr(send, "__self__", None)
    kind = type(cycle)
    if (
        not stream.direct_writes
        or kind.__module__ not in _KNOWN
        or kind.__qualname__ != "RequestResponseCycle"
        or getattr(send, "__func__", None) is not getattr(kind, "send", None)
        or scope["http_version"] != "1.1"  # no chunked encoding for HTTP/1.0 clients
        or getattr(cycle, "response_complete", True)
        or getattr(cycle, "chunked_encoding", True) is not True  # h11 decides it by the version only
    ):
        return None
    transport = getattr(cycle, "transport", None)
    if not all(hasattr(transport, name) for name in ("write", "get_write_buffer_size", "is_closing", "abort")):
        return None
    return UvicornWriter(stream, write, transport)


class UvicornWriter(Writer):
    """Writes to the transport while it has no unsent bytes, else as `Writer` does."""

    __slots__ = ("_transport",)

    def __init__(self, stream: Subscription, write: Write, transport: Any) -> None:
        super().__init__(stream, write)
        self._transport: Transport = transport

    def write(self, data: bytes) -> None:
        if self._transport.get_write_buffer_size() or self._transport.is_closing():
            super().write(data)
        else:
            self._transport.write(_chunk(data))

    def abort(self) -> bool:
        self._transport.abort()
        return True


@lru_cache(maxsize=1)
def _chunk(data: bytes) -> bytes:
    """One chunk of a body (RFC 9112, 7.1), cached, since all streams of a recipient are written the same bytes in a
    row."""
    return b"%x\r\n%b\r\n" % (len(data), data)
