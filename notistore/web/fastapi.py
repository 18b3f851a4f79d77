"""`inbox_router`: the routes of docs/wire.md as a FastAPI router, with models and OpenAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine
from copy import deepcopy
from datetime import datetime
from typing import Any, Final

try:
    from fastapi import APIRouter, Depends
    from fastapi.routing import APIRoute
except ModuleNotFoundError as error:
    raise ImportError('notistore.web.fastapi needs FastAPI: pip install "notistore[fastapi]"') from error
from pydantic import BaseModel, JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..errors import InvalidArgument
from ..inbox import Inbox
from ..model import Recipient
from . import endpoints
from ._starlette import DeferredResponse, respond, take_deferred, to_response
from .core import UNAUTHORIZED, Route, WebInbox
from .endpoints import Endpoint
from .openapi import OPERATIONS
from .stream import Receive, Scope, Send, StreamResponse

__all__ = [
    "NotificationActor",
    "NotificationCount",
    "NotificationIdFrame",
    "NotificationIds",
    "NotificationItem",
    "NotificationKeysetPage",
    "NotificationPage",
    "NotificationPageMeta",
    "NotificationProblem",
    "NotificationReadFrame",
    "NotificationsUpdated",
    "inbox_router",
]


class NotificationActor(BaseModel):
    """Who caused a notification."""

    id: str
    type: str


class NotificationItem(BaseModel):
    """A notification."""

    id: str
    type: str
    notifiableType: str
    notifiableId: str
    tenantId: str | None
    key: str | None
    data: dict[str, JsonValue]
    actor: NotificationActor | None
    traceId: str | None
    version: int
    readAt: datetime | None
    createdAt: datetime
    updatedAt: datetime


class NotificationPageMeta(BaseModel):
    """Where a numbered page stands."""

    page: int
    perPage: int
    total: int
    lastPage: int


class NotificationPage(BaseModel):
    """A page by number, newest first."""

    items: list[NotificationItem]
    meta: NotificationPageMeta


class NotificationKeysetPage(BaseModel):
    """A page by cursor, newest first; `next` is the `before` of the page that follows, null on the last."""

    items: list[NotificationItem]
    next: str | None


class NotificationCount(BaseModel):
    """How many are unread. It is also the first frame of a stream."""

    count: int


class NotificationsUpdated(BaseModel):
    """How many changed."""

    updated: int


class NotificationIds(BaseModel):
    """Which notifications to change."""

    ids: list[str]


class NotificationProblem(BaseModel):
    """An error (RFC 9457), with the field that was refused."""

    title: str
    status: int
    detail: str
    field: str | None = None


class NotificationReadFrame(BaseModel):
    """Of an event `read`: one notification was marked read, or all of them where the id is null."""

    notificationId: str | None
    readAt: datetime


class NotificationIdFrame(BaseModel):
    """Of an event `unread` or `delete`: one notification was marked unread or deleted."""

    notificationId: str


def inbox_router(
    inbox: Inbox,
    recipient: Callable[..., Recipient | Awaitable[Recipient] | Awaitable[Recipient | None] | None],
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
) -> APIRouter:
    """The inbox as a FastAPI router. The arguments are those of `notistore.web.inbox_app`, except for `recipient`.

    Args:
        inbox: the inbox to serve.
        recipient: a FastAPI dependency, sync or async, which may have dependencies; None is a 401.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins whose pages may send unsafe requests cross-site.
        close_on_signals: close the hub on SIGINT and SIGTERM.
    """
    web = WebInbox(inbox, path=path, trusted_origins=trusted_origins, close_on_signals=close_on_signals)
    router = APIRouter(tags=["notifications"], route_class=_InboxRoute)
    for route in web.routes:
        serve = _serve(web, route, _no_recipient if route.public else recipient)
        for slash in ("", "/"):
            router.add_api_route(
                route.path + slash,
                serve,
                methods=[route.method],
                name=route.endpoint.__name__,
                include_in_schema=not (route.public or slash),
                **_documented(route.endpoint),
            )
            if route.method == "GET":
                router.add_api_route(route.path + slash, serve, methods=["HEAD"], include_in_schema=False)
    return router


def _serve(web: WebInbox, route: Route, recipient: Callable[..., Any]) -> Callable[..., Awaitable[Response]]:
    async def handle(request: Request, found: Recipient | None = Depends(recipient)) -> Response:
        response = await respond(web, route, found, request)
        return DeferredResponse(response) if isinstance(response, StreamResponse) else response

    return handle


def _no_recipient() -> None:
    return None


class _InboxRoute(APIRoute):
    """A route that responds with 401 if a dependency raises InvalidArgument, since the request's values are not a valid
    recipient.

    FastAPI runs the exit code of dependencies with `yield` after the response, so a database session for finding the
    user would stay open as long as the stream. Therefore a stream begins after their exit.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().handle(scope, receive, send)
        if (deferred := take_deferred(scope)) is not None:
            await deferred(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except InvalidArgument:
                return to_response(UNAUTHORIZED)

        return handle


class _Problem(JSONResponse):
    media_type = "application/problem+json"


class _EventStream(JSONResponse):
    media_type = "text/event-stream"


def _documented(endpoint: Endpoint) -> dict[str, Any]:
    """The OpenAPI of one route. Arguments are read and refused by the endpoints, alike in every framework.

    FastAPI makes components of models, and says that each has the media type of the route's response class: so that of
    a route with no body of its own is a problem's, whose component the other routes refer to.
    """
    if endpoint not in OPERATIONS:
        return {}
    operation = deepcopy(OPERATIONS[endpoint])
    responses = {int(status): response for status, response in operation.pop("responses").items()}
    success = min(responses)
    if success == 204:
        for status in responses.keys() - {success}:
            responses[status] = {"model": NotificationProblem, "description": responses[status]["description"]}
    else:
        del responses[success]  # FastAPI makes it of the model
    if "requestBody" in operation:
        operation["requestBody"]["content"]["application/json"]["schema"] = NotificationIds.model_json_schema()
    return {
        "summary": operation.pop("summary"),
        "description": endpoint.__doc__,
        "response_model": _MODELS.get(endpoint),
        "response_class": _Problem
        if success == 204
        else _EventStream
        if endpoint is endpoints.stream
        else JSONResponse,
        "status_code": success,
        "responses": responses,
        "openapi_extra": operation or None,
    }


_MODELS: Final[dict[Endpoint, Any]] = {
    endpoints.list_notifications: NotificationPage | NotificationKeysetPage,
    endpoints.list_unread: list[NotificationItem],
    endpoints.count_unread: NotificationCount,
    endpoints.mark_many_read: NotificationsUpdated,
    endpoints.stream: NotificationCount | NotificationItem | NotificationReadFrame | NotificationIdFrame,
}
