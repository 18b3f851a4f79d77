"""`inbox_app`: the routes of docs/wire.md as an ASGI app, for Starlette and whatever else mounts one."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

try:
    from starlette.applications import Starlette
except ModuleNotFoundError as error:
    raise ImportError('notistore.web.asgi needs Starlette: pip install "notistore[web]"') from error
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from ..inbox import Inbox
from ._origin import check_origins
from ._paths import ELEMENT_PATH, check_path
from ._starlette import GetRecipient, Postponed, element, find_recipient, open_stream, respond, take_postponed
from .endpoints import ROUTES, Endpoint
from .websocket import GetSocketRecipient, inbox_websocket

__all__ = ["GetRecipient", "inbox_app"]


def inbox_app(
    inbox: Inbox,
    recipient: GetRecipient,
    *,
    path: str = "/notifications",
    trusted_origins: Collection[str] = (),
    close_on_signals: bool = True,
    websocket: GetSocketRecipient | None = None,
) -> Starlette:
    """The inbox as an ASGI app that serves its paths itself: mount it at the API's root, or run it as it is.

    Args:
        inbox: what it serves. Without a hub its streams answer with a count and end, which makes browsers poll.
        recipient: gets the recipient from a Starlette request, sync or async; None is answered with 401.
        path: where the routes begin; no slash at its end.
        trusted_origins: origins ("https://app.example.com") whose pages may send unsafe requests cross-site. Such
            pages need CORS headers too, which are the host's to add.
        close_on_signals: close the hub when SIGINT or SIGTERM arrives, so that open streams do not hold up the
            server's shutdown; the server's own handlers are called as before.
        websocket: also serve `{path}/ws` (docs/transports.md), and how to get the recipient from its handshake.
    """
    check_path(path)
    trusted = check_origins(trusted_origins)

    async def serve(endpoint: Endpoint, request: Request) -> Response:
        found = await find_recipient(recipient, request)
        return await respond(endpoint, inbox, found, request, trusted)

    class Stream:  # no function: Starlette would wrap its `send` once more, for every event
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            found = await find_recipient(recipient, request)
            stream = open_stream(inbox, found, request, close_on_signals=close_on_signals)
            app = scope.get("app")
            if isinstance(app, _InboxApp) and app.is_bare:
                stream = Postponed(stream)
            await stream(scope, receive, send)

    routes: list[BaseRoute] = [
        Route(path + route.path, partial(serve, route.endpoint), methods=[route.method]) for route in ROUTES
    ]
    routes += [Route(path + "/stream", Stream(), methods=["GET"]), Route(path + ELEMENT_PATH, element)]
    if websocket is not None:
        socket = inbox_websocket(inbox, websocket, trusted_origins=trusted, close_on_signals=close_on_signals)
        routes.append(WebSocketRoute(path + "/ws", socket))
    app = _InboxApp(routes=routes)
    app.router.redirect_slashes = False
    return app


class _InboxApp(Starlette):
    """Begins streams outside of Starlette's own layers, whose frames every open stream and event would pay for."""

    @property
    def is_bare(self) -> bool:
        """Whether nobody has added anything that a stream would have to pass through."""
        return not (self.debug or self.user_middleware or self.exception_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        if (postponed := take_postponed(scope)) is not None:
            await postponed(scope, receive, send)
