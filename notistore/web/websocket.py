"""The events of a stream over a WebSocket (docs/transports.md).

Each message is one JSON object. From the server: `{"event": NAME, "data": ...}`, with the names and data of the event
stream's frames; the first is the count. From the client, each with a reply, in order:

- `{"type": "mark_read", "ids": [...]}` by `{"event": "marked", "data": {"updated": n}}`
- `{"type": "get_unread_count"}` by `{"event": "notification", "data": {"count": n}}`

The reply to any other message is `{"event": "error", "data": PROBLEM}`, and nothing is changed.

A page cannot set headers on a WebSocket. A token is sent as a subprotocol, as in `new WebSocket(url, ["notistore",
"bearer." + token])`, or in the first message, `{"type": "authenticate", "token": "..."}`, if the application allows it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from ..errors import InvalidArgument, StoreError
from ..hub import Subscription
from ..hub.events import Event, decode
from ..inbox import Inbox
from ..model import Recipient
from ..wire import encode_json
from ._connection import close_connection
from ._request import MAX_BODY_BYTES
from .stream import CLOSE_TIMEOUT, begin_stream, close_deadline

__all__ = [
    "POLL",
    "RECONNECT",
    "SUBPROTOCOL",
    "UNAUTHENTICATED",
    "Socket",
    "close",
    "read_token",
    "receive_token",
    "serve_websocket",
]

SUBPROTOCOL: Final = "notistore"
"""The subprotocol to select if the client offers it."""
_BEARER: Final = "bearer."
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,8192}")  # what an Authorization header can hold

# Codes of RFC 6455's private range: daphne closes with 1000 and 3000 to 4999 only.
RECONNECT: Final = 4013
"""Closes a socket whose stream has ended: the client reconnects after a second or three."""
POLL: Final = 4029
"""Closes a socket that gets no stream, over a limit or without a hub: the client polls again after 30 s."""

_MOST_EARLY: Final = 10  # messages kept for a client whose stream has not begun

UNAUTHENTICATED: Final = 4401
"""Closes a socket whose first message had no token, or one that names no recipient."""

Receive: TypeAlias = Callable[[], Awaitable[str | bytes | None]]
Send: TypeAlias = Callable[[str], Awaitable[None]]


class Socket(Protocol):
    """A framework's WebSocket whose handshake has not been answered, as `WebInbox.serve_websocket` takes it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the handshake, by lower-case name."""

    async def find_recipient(self, token: str | None, /) -> Recipient | None:
        """The recipient of the handshake; with a token, of a handshake that has it in its `authorization` header."""

    async def accept(self, subprotocol: str | None, /) -> None:
        """Accept the handshake."""

    async def receive(self) -> str | bytes | None:
        """The next message; None once the client has disconnected."""

    async def send(self, text: str, /) -> None:
        """Send a text message."""

    async def close(self, code: int, /) -> None:
        """Close it with this code."""


async def close(socket: Socket, code: int, *, scope: Mapping[str, Any] | None = None) -> None:
    """Close a socket without waiting for a client that does not read: some servers wait ten seconds for its reply, and
    swallow a cancellation meanwhile. With a `scope` the connection of such a client is closed."""
    closing = asyncio.create_task(socket.close(code))
    await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)
    if closing.cancel():
        if scope is not None:
            close_connection(scope)
    elif not closing.cancelled():
        closing.result()


def read_token(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The token that a handshake offers as a subprotocol, and the subprotocol to accept it with; None if there is none.

    Args:
        headers: of the handshake, by lower-case name.
    """
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    tokens = [name.removeprefix(_BEARER) for name in offered if name.startswith(_BEARER)]
    token = tokens[0] if tokens and _TOKEN.fullmatch(tokens[0]) else None
    return token, SUBPROTOCOL if SUBPROTOCOL in offered else None


async def receive_token(receive: Receive, *, timeout: float) -> str | None:
    """The token in the first message of an accepted socket; None for any other message, or after `timeout`."""
    try:
        async with asyncio.timeout(timeout):
            message = await receive()
        match None if message is None else _parse(message):
            case {"type": "authenticate", "token": str(token)} if _TOKEN.fullmatch(token):
                return token
    except (TimeoutError, InvalidArgument):
        pass
    return None


async def serve_websocket(
    inbox: Inbox, recipient: Recipient, *, receive: Receive, send: Send, scope: Mapping[str, Any] | None = None
) -> int | None:
    """Serve a WebSocket that has been accepted until either side ends it; returns the code to close it with.

    Args:
        inbox: what it serves.
        recipient: the owner of the inbox.
        receive: returns the next message; None once the client has disconnected.
        send: sends a text message.
        scope: of the handshake on an ASGI server: the connection of a client that does not read is closed a second
            after its stream has ended.
    """
    messages = _Messages(receive)
    async with begin_stream(inbox, recipient, leave=messages.wait_for_disconnect) as (greeting, stream):
        if not greeting:
            return None
        await _send_frames(send, greeting)
        if stream is None:
            return POLL if b"event:" in greeting else RECONNECT  # no event: the store fails at present
        writing = asyncio.create_task(_write_events(stream, send))
        answering = asyncio.create_task(_answer_messages(inbox, stream, messages.receive, send))
        try:
            async with close_deadline(stream, scope=scope) as deadline:
                await asyncio.wait([writing, answering], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            if not deadline.expired():
                raise
        finally:
            # Whichever side has ended, nothing more is read or written: a message that arrives now changes nothing.
            stream.end("left")
            writing.cancel()
            answering.cancel()
            await asyncio.wait([writing, answering])
        for task in (writing, answering):
            if not task.cancelled():
                task.result()
        return RECONNECT if stream.ended != "left" else None


class _Messages:
    """A client's messages, which can be watched for the disconnect before they are answered."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._early: deque[str | bytes] = deque()

    async def wait_for_disconnect(self) -> None:
        """Return when the client has disconnected; after more messages than are kept, wait until cancelled."""
        while len(self._early) < _MOST_EARLY:
            if (message := await self._receive()) is None:
                return
            self._early.append(message)
        await asyncio.get_running_loop().create_future()

    async def receive(self) -> str | bytes | None:
        """The next message; None once the client has disconnected."""
        return self._early.popleft() if self._early else await self._receive()


async def _write_events(stream: Subscription, send: Send) -> None:
    async for data in stream:
        await _send_frames(send, data)


async def _answer_messages(inbox: Inbox, stream: Subscription, receive: Receive, send: Send) -> None:
    # Once the stream has ended, which may be a turn or two of the event loop before this task is cancelled, no message
    # is carried out.
    while (message := await receive()) is not None and stream.ended is None:
        await _send(send, await _answer(message, inbox, stream.recipient))


async def _answer(message: str | bytes, inbox: Inbox, recipient: Recipient) -> Event:
    try:
        match _parse(message):
            case {"type": "mark_read", "ids": list(ids)}:
                return Event("marked", {"updated": await inbox.mark_read(recipient, *ids) if ids else 0})
            case {"type": "get_unread_count"}:
                return Event.count(await inbox.unread_count(recipient))
        raise InvalidArgument("message", 'expected {"type": "mark_read", "ids": [...]} or {"type": "get_unread_count"}')
    except InvalidArgument as error:
        return Event("error", {"status": 422, "detail": str(error), "field": error.field})
    except StoreError:
        return Event("error", {"status": 503, "detail": "the notifications cannot be reached now; try again"})


def _parse(message: str | bytes) -> object:
    if not isinstance(message, str) or len(message) > MAX_BODY_BYTES:
        raise InvalidArgument("message", f"expected text of at most {MAX_BODY_BYTES} characters")
    try:
        return json.loads(message)
    except (ValueError, RecursionError):
        raise InvalidArgument("message", "expected JSON") from None


async def _send(send: Send, event: Event) -> None:
    await send(encode_json({"event": event.name, "data": event.data}).decode())


async def _send_frames(send: Send, frames: bytes) -> None:
    for name, data in decode(frames):
        await send(f'{{"event":{encode_json(name).decode()},"data":{data or "null"}}}')
