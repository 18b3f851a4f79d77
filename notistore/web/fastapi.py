"""`inbox_router`: the routes of docs/wire.md as a FastAPI router, with models and OpenAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine
from datetime import datetime
from typing import Any, Final

try:
    from fastapi import APIRouter, Depends
    from fastapi.routing import APIRoute
except ModuleNotFoundError as error:
    raise ImportError('notistore.web.fastapi needs FastAPI: pip install "notistore[fastapi]"') from error
from pydantic import BaseModel, JsonValue
from starlette.requests import Request
from starlette.responses import Response

from ..errors import InvalidArgument
from ..inbox import Inbox
from ..model import Recipient
from . import endpoints
from ._origin import check_origins
from ._paths import ELEMENT_PATH, check_path
from ._starlette import Postponed, element, open_stream, respond, take_postponed, unauthorized
from .endpoints import Endpoint
from .stream import Receive, Scope, Send

__all__ = [
    "MarkedRead",
    "NotificationActor",
    "NotificationIds",
    "NotificationItem",
    "NotificationKeysetPage",
    "NotificationPage",
    "NotificationPageMeta",
    "Problem",
    "UnreadCount",
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


class UnreadCount(BaseModel):
    """How many are unread."""

    count: int


class MarkedRead(BaseModel):
    """How many changed."""

    updated: int


class NotificationIds(BaseModel):
    """Which notifications to change."""

    ids: list[str]


class Problem(BaseModel):
    """An error (RFC 9457), with the field that was refused."""

    title: str
    status: int
    detail: str
    field: str | None = None


def inbox_router(
    inbox: Inbox,
    recipient: Callable[..., Recipient | Awaitable[Recipient] | Awaitable[Recipient | None] | None],
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
) -> APIRouter:
    """The inbox as a FastAPI router; arguments as for `notistore.web.inbox_app`, but for one.

    Args:
        inbox: what it serves.
        recipient: a FastAPI dependency, sync or async, with dependencies of its own if need be; None is a 401.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins whose pages may send unsafe requests cross-site.
        close_on_signals: close the hub when SIGINT or SIGTERM arrives.
    """
    check_path(path)
    trusted = check_origins(trusted_origins)
    router = APIRouter(prefix=path, tags=["notifications"], route_class=_InboxRoute)

    def serve(endpoint: Endpoint) -> Callable[..., Awaitable[Response]]:
        async def handle(request: Request, found: Recipient | None = Depends(recipient)) -> Response:
            return await respond(endpoint, inbox, found, request, trusted)

        return handle

    async def stream(request: Request, found: Recipient | None = Depends(recipient)) -> Response:
        return Postponed(open_stream(inbox, found, request, close_on_signals=close_on_signals))

    for route in endpoints.ROUTES:
        router.add_api_route(
            route.path,
            serve(route.endpoint),
            methods=[route.method],
            name=route.endpoint.__name__,
            description=route.endpoint.__doc__,
            **_OPENAPI[route.endpoint],
        )
    router.add_api_route(
        "/stream",
        stream,
        methods=["GET"],
        name="stream",
        description="Server-sent events: the unread count first, then each change.",
        response_class=Response,
        responses={200: {"content": {"text/event-stream": {}}}, **_problems(401)},
    )
    router.add_api_route(ELEMENT_PATH, element, methods=["GET"], include_in_schema=False)
    return router


class _InboxRoute(APIRoute):
    """A route whose dependencies may find that what they were given cannot name a recipient: nobody is signed in.

    FastAPI leaves dependencies that yield only after the response: a database session that was there to find the user
    would be held for as long as the stream lasts. So a stream begins when they have been left.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().handle(scope, receive, send)
        if (postponed := take_postponed(scope)) is not None:
            await postponed(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except InvalidArgument:
                return unauthorized()

        return handle


def _documented(
    model: Any = None,
    *,
    query: tuple[str, ...] = (),
    problems: tuple[int, ...] = (),
    by_id: bool = False,
    body: Any = None,
    cached: bool = False,
) -> dict[str, Any]:
    """The OpenAPI of one route. Arguments are read and refused by the endpoints, alike in every framework."""
    parameters = [_PARAMETERS[name] for name in query]
    if by_id:
        parameters.append(
            {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
        )
    extra: dict[str, Any] = {"parameters": parameters} if parameters else {}
    if body is not None:
        content = {"application/json": {"schema": body.model_json_schema()}}
        extra["requestBody"] = {"required": True, "content": content}
    return {
        "response_model": model,
        "status_code": 204 if model is None else 200,
        "responses": _problems(401, *problems, 503) | ({304: {}} if cached else {}),
        "openapi_extra": extra or None,
    }


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    # Not as a `model`: FastAPI would say that they are application/json.
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"content": content} for status in statuses}


def _parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_MOST: Final = endpoints.MAX_PER_PAGE
_PARAMETERS: Final = {
    "page": _parameter("page", "Which numbered page.", type="integer", minimum=1, default=1),
    "perPage": _parameter("perPage", f"Its size; more than {_MOST} is {_MOST}.", type="integer", minimum=1, default=20),
    "limit": _parameter("limit", f"Size of a keyset page; more than {_MOST} is {_MOST}.", type="integer", minimum=1),
    "before": _parameter("before", "The `next` of the keyset page before.", type="string"),
    "type": _parameter("type", "Only these types, separated by commas.", type="string"),
    "max": _parameter("max", "Stop counting here.", type="integer", minimum=1),
    "seen": _parameter("seen", "Leave unread what changed after this time.", type="string", format="date-time"),
}
_OPENAPI: Final[dict[Endpoint, dict[str, Any]]] = {
    endpoints.list_notifications: _documented(
        NotificationPage | NotificationKeysetPage, query=("page", "perPage", "type", "before", "limit"), problems=(422,)
    ),
    endpoints.list_unread: _documented(list[NotificationItem], query=("type",), problems=(422,)),
    endpoints.count_unread: _documented(UnreadCount, query=("type", "max"), problems=(422,), cached=True),
    endpoints.mark_many_read: _documented(MarkedRead, body=NotificationIds, problems=(403, 413, 422)),
    endpoints.mark_all_read: _documented(query=("type", "seen"), problems=(403, 422)),
    endpoints.mark_read: _documented(by_id=True, problems=(403, 404)),
    endpoints.mark_unread: _documented(by_id=True, problems=(403, 404)),
    endpoints.delete: _documented(by_id=True, problems=(403, 404)),
}
