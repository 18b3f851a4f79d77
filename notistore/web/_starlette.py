"""Between Starlette's requests and responses and the endpoints' own; FastAPI's are the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from inspect import isawaitable
from typing import Final, TypeAlias

from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.types import ASGIApp

from ..errors import InvalidArgument
from ..inbox import Inbox
from ..model import Recipient
from ._paths import ELEMENT_HEADERS, element_source
from ._request import Answer, Query, Request
from ._shutdown import close_on_signal
from .endpoints import UNAUTHORIZED, Endpoint, answer
from .stream import Receive, Scope, Send, StreamResponse

GetRecipient: TypeAlias = Callable[[StarletteRequest], Recipient | Awaitable[Recipient | None] | None]
"""How to get the recipient from the request, sync (on the event loop: it must not wait) or async; None is a 401."""


async def find_recipient(get_recipient: GetRecipient, request: StarletteRequest) -> Recipient | None:
    try:
        found = get_recipient(request)
        return await found if isawaitable(found) else found
    except InvalidArgument:
        return None  # what it was given cannot name a recipient, so nobody is signed in


async def respond(
    endpoint: Endpoint,
    inbox: Inbox,
    recipient: Recipient | None,
    request: StarletteRequest,
    trusted_origins: Collection[str],
) -> Response:
    """Let an endpoint answer a request of Starlette's."""
    asked = Request(
        method=request.method,
        query=Query(request.query_params.multi_items()),
        headers=request.headers,
        body=request.stream(),
        id=request.path_params.get("id", ""),
    )
    try:
        return _to_response(await answer(endpoint, inbox, recipient, asked, trusted_origins=trusted_origins))
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it; an error would be logged as this server's own


def open_stream(
    inbox: Inbox, recipient: Recipient | None, request: StarletteRequest, *, close_on_signals: bool
) -> ASGIApp:
    """What answers with the recipient's stream."""
    if recipient is None:
        return unauthorized()
    if close_on_signals and inbox.hub is not None:
        close_on_signal(inbox.hub)
    return StreamResponse(inbox, recipient, resumed="last-event-id" in request.headers)


class Postponed(Response):
    """Leaves the answer to whoever calls `take_postponed`, so that what is between the two does not stay as long."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_POSTPONED] = self._app


def take_postponed(scope: Scope) -> ASGIApp | None:
    """What is to answer this request, if that was postponed."""
    postponed: ASGIApp | None = scope.pop(_POSTPONED, None)
    return postponed


_POSTPONED: Final = "notistore.postponed"


def unauthorized() -> Response:
    return _to_response(UNAUTHORIZED)


def _to_response(answered: Answer) -> Response:
    return Response(answered.body, answered.status, answered.headers)


async def element(request: StarletteRequest) -> Response:
    return Response(element_source(), headers=ELEMENT_HEADERS)
