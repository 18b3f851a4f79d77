"""The same events over a WebSocket, for those whose clients speak that (docs/transports.md).

Each message is one JSON object. From the server: `{"event": NAME, "data": ...}`, with the names and data of the event
stream's frames; the first is the count. From the client, each answered in order:

- `{"type": "mark_read", "ids": [...]}` by `{"event": "marked", "data": {"updated": n}}`
- `{"type": "get_unread_count"}` by `{"event": "notification", "data": {"count": n}}`

What cannot be understood is answered by `{"event": "error", "data": PROBLEM}` and changes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from inspect import isawaitable
from typing import Final, TypeAlias

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ..errors import InvalidArgument, StoreError
from ..hub import Subscription
from ..inbox import Inbox
from ..model import Recipient
from ..sse import Event, decode
from ..wire import encode_json
from ._origin import is_forged
from ._request import MAX_BODY_BYTES
from ._shutdown import close_on_signal
from .stream import ending_in_time, opening

__all__ = ["GetSocketRecipient", "inbox_websocket"]

GetSocketRecipient: TypeAlias = Callable[[HTTPConnection], Recipient | Awaitable[Recipient | None] | None]
"""How to get the recipient of a WebSocket from its handshake, sync or async; None refuses it."""

_REFUSED: Final = 1008  # the handshake is answered with 403
_COME_BACK: Final = 1013  # there is no stream to be had now, or this one has ended: reconnect later


def inbox_websocket(
    inbox: Inbox,
    recipient: GetSocketRecipient,
    *,
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
) -> Callable[[WebSocket], Awaitable[None]]:
    """An endpoint for Starlette's `WebSocketRoute` and FastAPI's `add_api_websocket_route`.

    A browser's page of another origin is refused unless that is trusted: no other rule keeps it from opening a socket
    with the user's cookies. A stream that ends closes the socket with 1013; the client reconnects, as EventSource does
    by itself. Arguments as for `inbox_app`; `recipient` is given Starlette's `HTTPConnection`, which a request is too.
    """

    async def serve(socket: WebSocket) -> None:
        # A handshake is a GET that does as much as any POST.
        found = None if is_forged("POST", socket.headers, trusted_origins) else await _find(recipient, socket)
        if found is None:
            await socket.close(_REFUSED)
            return
        if close_on_signals and inbox.hub is not None:
            close_on_signal(inbox.hub)
        await socket.accept()
        async with opening(inbox, found) as (greeting, stream):
            await _send_frames(socket, greeting)
            if stream is None:
                await socket.close(_COME_BACK)
                return
            writing = asyncio.create_task(_write_events(socket, stream))
            try:
                await _answer_messages(socket, inbox, found)
            finally:
                stream.end("left")
                await asyncio.wait([writing])

    return serve


async def _find(recipient: GetSocketRecipient, socket: WebSocket) -> Recipient | None:
    try:
        found = recipient(socket)
        return await found if isawaitable(found) else found
    except InvalidArgument:
        return None


async def _write_events(socket: WebSocket, stream: Subscription) -> None:
    try:
        async with ending_in_time(stream):
            async for data in stream:
                await _send_frames(socket, data)
            if stream.ended != "left":
                await socket.close(_COME_BACK)
    except (TimeoutError, WebSocketDisconnect):
        pass  # the reader takes nothing, or has gone


async def _answer_messages(socket: WebSocket, inbox: Inbox, recipient: Recipient) -> None:
    try:
        while socket.client_state is WebSocketState.CONNECTED:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            answer = await _answer(message.get("text"), inbox, recipient)
            if socket.application_state is WebSocketState.CONNECTED:
                await _send(socket, answer)
    except WebSocketDisconnect:
        return


async def _answer(text: str | None, inbox: Inbox, recipient: Recipient) -> Event:
    try:
        match _parse(text):
            case {"type": "mark_read", "ids": list(ids)}:
                return Event("marked", {"updated": await inbox.mark_read(recipient, *ids)})
            case {"type": "get_unread_count"}:
                return Event.count(await inbox.unread_count(recipient))
        raise InvalidArgument("message", 'expected {"type": "mark_read", "ids": [...]} or {"type": "get_unread_count"}')
    except InvalidArgument as error:
        return Event("error", {"status": 422, "detail": str(error), "field": error.field})
    except StoreError:
        return Event("error", {"status": 503, "detail": "the notifications cannot be reached now; try again"})


def _parse(text: str | None) -> object:
    if text is None or len(text) > MAX_BODY_BYTES:
        raise InvalidArgument("message", f"expected text of at most {MAX_BODY_BYTES} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidArgument("message", "expected JSON") from None


async def _send(socket: WebSocket, event: Event) -> None:
    await socket.send_text(encode_json({"event": event.name, "data": event.data}).decode())


async def _send_frames(socket: WebSocket, frames: bytes) -> None:
    for name, data in decode(frames):
        await socket.send_text(f'{{"event":"{name}","data":{data or "null"}}}')
