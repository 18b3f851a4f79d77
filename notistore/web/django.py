"""`inbox_urls`: the routes of docs/wire.md as Django URLs, for `path("api", include(inbox_urls(inbox, recipient)))`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from inspect import isawaitable
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
from ._origin import check_origins
from ._paths import ELEMENT_HEADERS, ELEMENT_PATH, check_path, element_source
from ._request import MAX_BODY_BYTES, Answer, Query, Request
from ._shutdown import close_on_signal
from .endpoints import ROUTES, UNAUTHORIZED, Endpoint, answer
from .stream import HEADERS, ending_in_time, opening

__all__ = ["GetRecipient", "inbox_urls"]

GetRecipient: TypeAlias = Callable[[HttpRequest], Recipient | Awaitable[Recipient | None] | None]
"""Gets the recipient from the request, async, or sync in the thread where `request.user` may be read; None is a 401."""

View: TypeAlias = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def inbox_urls(
    inbox: Inbox,
    recipient: GetRecipient,
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
) -> list[URLPattern]:
    """The inbox as URL patterns without slashes at their ends. Arguments as for `notistore.web.inbox_app`.

    Under ASGI streams are live. Under WSGI, where each would hold a worker, they give the count and end, which makes
    browsers poll. `path` comes behind the prefix that `include()` is given.
    """
    base = check_path(path).removeprefix("/")
    trusted = check_origins(trusted_origins)

    def view_of(endpoints: dict[str, Endpoint]) -> View:
        async def view(request: HttpRequest, id: str = "") -> HttpResponseBase:
            method = request.method or ""
            asked = Request(
                method=method,
                query=Query((name, value) for name, values in request.GET.lists() for value in values),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=_body(request),
                id=id,
            )
            endpoint = endpoints["GET" if method == "HEAD" else method]
            found = await _find_recipient(recipient, request)
            return _to_response(await answer(endpoint, inbox, found, asked, trusted_origins=trusted))

        return _served(view, endpoints)

    async def stream(request: HttpRequest) -> HttpResponseBase:
        found = await _find_recipient(recipient, request)
        if found is None:
            return _to_response(UNAUTHORIZED)
        if request.method == "HEAD":
            return HttpResponse(headers=HEADERS)
        resumed = "last-event-id" in request.headers
        if not isinstance(request, ASGIRequest):
            async with opening(inbox, found, resumed=resumed, live=False) as (greeting, _):
                return HttpResponse(greeting, headers=HEADERS)
        if close_on_signals and inbox.hub is not None:
            close_on_signal(inbox.hub)
        # GZipMiddleware would make each chunk a gzip file of its own.
        request.META.pop("HTTP_ACCEPT_ENCODING", None)
        return StreamingHttpResponse(_frames(inbox, found, resumed=resumed), headers=HEADERS)

    async def element(request: HttpRequest) -> HttpResponseBase:
        return HttpResponse(element_source(), headers=ELEMENT_HEADERS)

    methods: dict[str, dict[str, Endpoint]] = {}
    for route in ROUTES:
        methods.setdefault(route.path.replace("{id}", "<str:id>"), {})[route.method] = route.endpoint
    views = {"/stream": _served(stream, ["GET"]), ELEMENT_PATH: _served(element, ["GET"])}
    views |= {path: view_of(endpoints) for path, endpoints in methods.items()}
    return [url(base + path, view) for path, view in views.items()]


def _served(view: View, methods: Collection[str]) -> View:
    """Without what Django would put before it: `answer` has a guard against forged requests, and a 401 where Django
    has a login page. ATOMIC_REQUESTS must not find it either: an async view in a transaction is an error to Django."""
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
        return None  # what it was given cannot name a recipient, so nobody is signed in


async def _body(request: HttpRequest) -> AsyncIterator[bytes]:
    yield request.read(MAX_BODY_BYTES + 1)


async def _frames(inbox: Inbox, recipient: Recipient, *, resumed: bool) -> AsyncIterator[bytes]:
    async with opening(inbox, recipient, resumed=resumed) as (greeting, stream):
        # Django keeps a thread for as long as the stream lasts; it must not keep that thread's connections too.
        await sync_to_async(close_old_connections)()
        yield greeting
        if stream is not None:
            async with ending_in_time(stream):
                async for data in stream:
                    yield data


def _to_response(answered: Answer) -> HttpResponse:
    response = HttpResponse(answered.body, status=answered.status, headers=dict(answered.headers))
    if "content-type" not in answered.headers:
        del response["content-type"]
    return response
