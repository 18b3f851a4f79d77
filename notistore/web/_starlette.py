"""Adapts Starlette's (and so FastAPI's) requests and responses to `WebInbox`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.types import ASGIApp

from ..model import Recipient
from .core import Answer, Query, Request, Route, WebInbox
from .stream import Receive, Scope, Send, StreamResponse

GetRecipient: TypeAlias = Callable[[StarletteRequest], Recipient | Awaitable[Recipient | None] | None]
"""How to get the recipient from the request, sync (on the event loop: it must not block) or async; None is a 401."""


async def respond(
    web: WebInbox, route: Route, recipient: Recipient | None, request: StarletteRequest
) -> Response | StreamResponse:
    """Answer a request of Starlette's."""
    asked = Request(
        method=request.method,
        query=Query(request.scope["query_string"]),
        headers=request.headers,
        body=request.stream(),
        id=request.path_params.get("id", ""),
    )
    answer = await web.answer(route, recipient, asked)
    return to_response(answer) if isinstance(answer, Answer) else answer


def to_response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers)


class DeferredResponse(Response):
    """A placeholder for a response that the caller of `take_deferred` sends, so that the layers in between end before a
    stream begins."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_DEFERRED] = self._app


def take_deferred(scope: Scope) -> ASGIApp | None:
    """The deferred response to this request, if there is one."""
    deferred: ASGIApp | None = scope.pop(_DEFERRED, None)
    return deferred


_DEFERRED: Final = "notistore.deferred"
