"""`inbox_urls`: the routes of docs/wire.md as Django URLs, for `path("api", include(inbox_urls(inbox, recipient)))`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import closing
from functools import partial
from inspect import isawaitable
from itertools import chain
from typing import Any, TypeAlias

try:
    from asgiref.sync import iscoroutinefunction, sync_to_async
    from django.core.handlers.asgi import ASGIRequest
    from django.db import close_old_connections, connections, transaction
    from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
    from django.urls import URLPattern
    from django.urls import path as url
    from django.views.decorators.csrf import csrf_exempt
    from django.views.decorators.http import require_http_methods
except ModuleNotFoundError as error:
    raise ImportError('notistore.web.django needs Django: pip install "notistore[django]"') from error

from ..errors import InvalidArgument
from ..inbox import Inbox
from ..model import Recipient
from ..sync import SyncInbox
from .core import Answer, Query, Request, Route, StreamResponse, WebInbox
from .sync import SyncStreamResponse, SyncWebInbox

__all__ = ["GetRecipient", "inbox_urls"]

GetRecipient: TypeAlias = Callable[[HttpRequest], Recipient | Awaitable[Recipient | None] | None]
"""Gets the recipient from the request, async, or sync in the thread where `request.user` may be read; None is a 401."""

_View: TypeAlias = Callable[..., Any]


def inbox_urls(
    inbox: Inbox | SyncInbox,
    recipient: GetRecipient,
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
    live: bool = False,
) -> list[URLPattern]:
    """The inbox as URL patterns, `path` behind the prefix that `include()` is given.

    With an `Inbox` the views are async: for ASGI, where streams stay open. With a `SyncInbox` they are sync: for WSGI,
    where a stream sends the count and ends, which makes browsers poll, or stays open with `live`. Each also works under
    the other, at the cost of a thread or an event loop per request, and without open streams.

    Args:
        inbox: the inbox to serve.
        recipient: gets the recipient from the request; a plain function for a `SyncInbox`.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins ("https://app.example.com") whose pages may send unsafe requests cross-site. The
            application has to add the CORS headers for such pages.
        close_on_signals: close the hub on SIGINT and SIGTERM.
        live: with a `SyncInbox` under WSGI, keep streams open, each in its own thread (docs/web.md).
    """
    view_of: Callable[[dict[str, Route]], _View]
    if isinstance(inbox, SyncInbox):
        if iscoroutinefunction(recipient):
            raise InvalidArgument("recipient", "expected a plain function for a SyncInbox, got an async one")
        sync = SyncWebInbox(
            inbox, path=path, trusted_origins=trusted_origins, close_on_signals=close_on_signals, live=live
        )
        routes, view_of = sync.routes, lambda routes: _sync_view(sync, routes, recipient)
    else:
        web = WebInbox(inbox, path=path, trusted_origins=trusted_origins, close_on_signals=close_on_signals)
        routes, view_of = web.routes, lambda routes: _async_view(web, routes, recipient)
    methods: dict[str, dict[str, Route]] = {}
    for route in routes:
        path = route.path.removeprefix("/").replace("{id}", "<str:id>")
        methods.setdefault(path, {})[route.method] = route
    views = {path: _served(view_of(routes), routes) for path, routes in methods.items()}
    return [url(path + slash, view) for path, view in views.items() for slash in ("", "/")]


def _async_view(web: WebInbox, routes: dict[str, Route], recipient: GetRecipient) -> _View:
    async def view(request: HttpRequest, id: str = "") -> HttpResponseBase:
        route = _route(routes, request)
        found = None if route.public else await _find_recipient(recipient, request)
        answer = await web.answer(route, found, _request(request, id))
        return _to_response(answer) if isinstance(answer, Answer) else await _stream(answer, request)

    return view


def _sync_view(web: SyncWebInbox, routes: dict[str, Route], recipient: GetRecipient) -> _View:
    def view(request: HttpRequest, id: str = "") -> HttpResponseBase:
        route = _route(routes, request)
        found = None if route.public else _find_recipient_now(recipient, request)
        answer = web.answer(route, found, _request(request, id))
        if isinstance(answer, SyncStreamResponse):
            # Under ASGI Django would consume a sync iterator before it sends the first item.
            answer = answer.poll() if isinstance(request, ASGIRequest) else answer
        if isinstance(answer, Answer):
            return _to_response(answer)
        frames = _sync_frames(answer)
        next(frames)  # counts
        return _streaming(answer, frames, request)

    return view


def _route(routes: dict[str, Route], request: HttpRequest) -> Route:
    return routes["GET" if request.method == "HEAD" else request.method or ""]


def _request(request: HttpRequest, id: str) -> Request:
    return Request(
        method=request.method or "",
        query=Query(request.META["QUERY_STRING"]),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=partial(_read, request),
        id=id,
    )


def _read(request: HttpRequest, size: int) -> bytes:
    if request.META.get("wsgi.input_terminated") and not request.META.get("CONTENT_LENGTH"):
        body: bytes = request.META["wsgi.input"].read(size)  # of one in chunks Django reads nothing
        return body
    return request.read(size)


def _served(view: _View, methods: Collection[str]) -> _View:
    """Mark the view exempt from Django's CSRF check and login page: `WebInbox` has its own check, and responds with
    401. It is exempt from ATOMIC_REQUESTS too, since Django refuses async views in a transaction."""
    view = csrf_exempt(require_http_methods([*methods, *(["HEAD"] if "GET" in methods else [])])(view))
    view.login_required = False  # type: ignore[attr-defined]
    for alias in connections:
        transaction.non_atomic_requests(alias)(view)
    return view


async def _find_recipient(get_recipient: GetRecipient, request: HttpRequest) -> Recipient | None:
    asynchronous = iscoroutinefunction(get_recipient)
    try:
        found = get_recipient(request) if asynchronous else await sync_to_async(get_recipient)(request)
        return await found if isawaitable(found) else found
    except InvalidArgument:
        return None  # the request's values are not a valid recipient, so nobody is signed in


def _find_recipient_now(get_recipient: GetRecipient, request: HttpRequest) -> Recipient | None:
    try:
        found = get_recipient(request)
    except InvalidArgument:
        return None
    assert not isawaitable(found)
    return found


async def _stream(response: StreamResponse, request: HttpRequest) -> HttpResponseBase:
    if isinstance(request, ASGIRequest):
        frames = _frames(response, request.scope)
        await anext(frames)  # counts
        return _streaming(response, frames, request)
    async with response.frames(live=False) as frames:
        return HttpResponse([data async for data in frames], headers=dict(response.headers))


def _streaming(
    response: StreamResponse | SyncStreamResponse, frames: AsyncIterator[bytes] | Iterator[bytes], request: HttpRequest
) -> HttpResponseBase:
    # GZipMiddleware would make each chunk a gzip file of its own.
    request.META.pop("HTTP_ACCEPT_ENCODING", None)
    return StreamingHttpResponse(frames, headers=dict(response.headers))


# The first item of these two is empty, for the view. It comes after the first count, so that an error there is a 500:
# Django sends the headers before it asks for the body.


def _sync_frames(response: SyncStreamResponse) -> Iterator[bytes]:
    with closing(response.frames()) as frames:
        greeting = next(frames)
        yield b""
        for data in chain([greeting], frames):
            # Django keeps a thread for as long as the stream lasts; it must not keep that thread's connections too.
            close_old_connections()
            yield data


async def _frames(response: StreamResponse, scope: Mapping[str, Any]) -> AsyncIterator[bytes]:
    async with response.begun() as begun:
        yield b""
        async with begun(scope) as frames:  # not before: with synchronous middleware the view has a task of its own
            await sync_to_async(close_old_connections)()  # as above
            async for data in frames:
                yield data


def _to_response(answered: Answer) -> HttpResponse:
    response = HttpResponse(answered.body, status=answered.status, headers=dict(answered.headers))
    if "content-type" not in answered.headers:
        del response["content-type"]
    return response
