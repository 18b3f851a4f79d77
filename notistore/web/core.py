"""An inbox's routes and streams without a framework, on which every mount is built (docs/embedding.md).

The integration of a framework registers `WebInbox.routes`, makes a `Request` of each request, passes it to
`WebInbox.answer` with its recipient, and sends the result: an `Answer` or a `StreamResponse`. So do the mounts in this
package.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from inspect import isawaitable
from typing import Any, Final, TypeVar, cast

from ..errors import InvalidArgument
from ..inbox import Inbox
from ..model import Recipient
from ._element import ELEMENT, read_element
from ._origin import Origins
from ._request import MAX_BODY_BYTES, Answer, Query, Request
from ._shutdown import close_on_signal
from .endpoints import MAX_PER_PAGE, ROUTES, UNAUTHORIZED, Route, call
from .stream import StreamResponse
from .websocket import UNAUTHENTICATED, Socket, close, read_token, receive_token, serve_websocket

__all__ = [
    "ELEMENT",
    "MAX_BODY_BYTES",
    "MAX_PER_PAGE",
    "UNAUTHORIZED",
    "Answer",
    "Query",
    "Request",
    "Route",
    "Socket",
    "StreamResponse",
    "WebInbox",
    "close_on_signal",
    "find_recipient",
    "read_element",
]

R = TypeVar("R")

_NO_ROUTE: Final = Answer.problem(404, "nothing is served at this path")
_FORGED: Final = Answer.problem(403, "this request comes from a page of another site, which is not trusted")


class WebInbox:
    """The routes of one mounted inbox.

    Args:
        inbox: the inbox to serve. Without a hub a stream sends the count and ends, which makes browsers poll.
        path: where the routes begin; a slash at its beginning and none at its end.
        trusted_origins: origins ("https://app.example.com") whose pages may send unsafe requests cross-site and open
            WebSockets.
        close_on_signals: close the hub on SIGINT and SIGTERM, so that open streams do not delay the server's shutdown;
            then the server's own handlers are called.

    Attributes:
        inbox: as given.
        routes: the routes to register, with complete paths. Register each path with a slash at its end too: some
            frameworks append one, and no route redirects.

    Raises:
        InvalidArgument: a wrong `path` or `trusted_origins`.
    """

    def __init__(
        self,
        inbox: Inbox,
        *,
        path: str = "/notifications",
        trusted_origins: Collection[str] = (),
        close_on_signals: bool = True,
    ) -> None:
        if not path.startswith("/") or path.endswith("/"):
            raise InvalidArgument("path", f"expected a slash at its beginning and none at its end, got {path!r}")
        self.inbox = inbox
        self.path = path
        self.routes = tuple(route._replace(path=path + route.path) for route in ROUTES)
        self._methods: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            self._methods.setdefault(route.path, {})[route.method] = route
        self._origins = Origins(trusted_origins)
        self._close_on_signals = close_on_signals

    async def answer(self, route: Route, recipient: Recipient | None, request: Request) -> Answer | StreamResponse:
        """The response to a request that the framework has routed.

        Errors of the client and failures of the store do not raise: their response is returned.

        Args:
            route: one of `routes`.
            recipient: the owner of the inbox; None is a 401, except on a route that is `public`.
            request: the request.

        Raises:
            TypeError: `recipient` is neither a Recipient nor None.
        """
        if (refused := self._refuse(route, recipient, request)) is not None:
            return refused
        answer = await call(route.endpoint, self.inbox, cast(Recipient, recipient), request)
        if isinstance(answer, StreamResponse):
            self._watch_signals()
        return answer

    def _refuse(self, route: Route, recipient: Recipient | None, request: Request) -> Answer | None:
        _check_recipient(recipient)
        if self._origins.refuse_request(request.method, request.headers):
            return _FORGED
        return UNAUTHORIZED if recipient is None and not route.public else None

    def match(self, method: str, path: str) -> tuple[Route, str] | Answer:
        """The route of a request and the id in its path, or the response 404 or 405.

        For frameworks in which one handler is registered for everything below `path`. One slash at the end of the path
        is accepted.

        Args:
            method: in capitals.
            path: the request's path, percent-decoded, without the application's prefix.
        """
        path = path.removesuffix("/")
        found, id = self._methods.get(path), ""
        if found is None:
            before, _, last = path.removeprefix(f"{self.path}/").partition("/")
            id, template = before, f"{self.path}/{{id}}" + (f"/{last}" if last else "")
            found = self._methods.get(template) if path.startswith(f"{self.path}/") and id else None
        if found is None:
            return _NO_ROUTE
        route = found.get("GET" if method == "HEAD" else method)
        if route is None:
            allowed = ", ".join([*found, *(["HEAD"] if "GET" in found else [])])
            return Answer.problem(405, f"expected one of {allowed}, got {method[:20]}", headers={"allow": allowed})
        return route, id

    async def serve_websocket(
        self, socket: Socket, *, token_timeout: float | None = None, scope: Mapping[str, Any] | None = None
    ) -> bool:
        """Answer the handshake of a WebSocket, and serve it until either side ends it.

        What the socket's methods raise once its client has disconnected is raised.

        Args:
            socket: the framework's.
            token_timeout: seconds that a client without a recipient has to send a token as its first message; None
                refuses its handshake.
            scope: of the handshake on an ASGI server: the connection of a client that does not read is then closed.
                Without it the server has to close it.

        Returns:
            False where the handshake has to be refused, with 403; nothing has been sent then.
        """
        if self._origins.refuse_handshake(socket.headers):
            return False
        token, subprotocol = read_token(socket.headers)
        found = _check_recipient(await socket.find_recipient(token))
        if found is None and token_timeout is None:
            return False
        await socket.accept(subprotocol)
        if found is None and token_timeout is not None:
            token = await receive_token(socket.receive, timeout=token_timeout)
            found = None if token is None else _check_recipient(await socket.find_recipient(token))
        code: int | None = UNAUTHENTICATED
        if found is not None:
            self._watch_signals()
            code = await serve_websocket(self.inbox, found, receive=socket.receive, send=socket.send, scope=scope)
        if code is not None:
            await close(socket, code, scope=scope)
        return True

    def _watch_signals(self) -> None:
        # Only when the first stream begins: by then the server has installed its own handlers.
        if self._close_on_signals and self.inbox.hub is not None:
            close_on_signal(self.inbox.hub)


def _check_recipient(found: Recipient | None) -> Recipient | None:
    if found is None or isinstance(found, Recipient):
        return found
    raise TypeError(  # without the value, which may be personal data
        "the function that gets the recipient of a request returned an object of type "
        f"{type(found).__name__}, expected a Recipient or None: return Recipient(user_id)"
    )


async def find_recipient(
    get_recipient: Callable[[R], Recipient | Awaitable[Recipient | None] | None], request: R
) -> Recipient | None:
    """Call the application's function, sync or async, that gets the recipient from a request.

    If it raises InvalidArgument, None is returned: the request's values are not a valid recipient, so nobody is signed
    in.
    """
    try:
        found = get_recipient(request)
        return await found if isawaitable(found) else found
    except InvalidArgument:
        return None
