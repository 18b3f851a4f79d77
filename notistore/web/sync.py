"""A blocking `WebInbox`, for code without an event loop: WSGI apps and frameworks such as Flask."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from dataclasses import replace
from typing import Final

from ..hub import Subscription
from ..model import Recipient
from ..sync import SyncInbox
from ._request import BodyRefused, read_body_blocking
from ._shutdown import close_on_signal
from .core import Answer, Request, Route, WebInbox
from .stream import HEADERS, begin, subscribe

__all__ = ["SyncStreamResponse", "SyncWebInbox"]


class SyncWebInbox:
    """The routes of one mounted inbox, as `WebInbox`, with an `answer` that blocks.

    Args:
        inbox: the inbox to serve.
        path: where the routes begin; a slash at its beginning and none at its end.
        trusted_origins: origins whose pages may send unsafe requests cross-site.
        close_on_signals: with `live`, close the hub on SIGINT and SIGTERM. The object must be created in the main
            thread, where servers import an application, since Python sets signal handlers only there.
        live: keep streams open. Each occupies a thread while its page is open, so the server needs more threads than
            the hub allows streams (`SseHub(streams=...)`). Otherwise a stream sends the count and `retry:` and ends,
            and browsers poll.

    Attributes:
        routes: the routes to register, as `WebInbox.routes`.
    """

    def __init__(
        self,
        inbox: SyncInbox,
        *,
        path: str = "/notifications",
        trusted_origins: Collection[str] = (),
        close_on_signals: bool = True,
        live: bool = False,
    ) -> None:
        self._inbox = inbox
        self._web = WebInbox(inbox._inbox, path=path, trusted_origins=trusted_origins, close_on_signals=False)
        self._close_on_signals = close_on_signals
        self._live = live and inbox._inbox.hub is not None
        self.routes = self._web.routes
        self._watch_signals()

    def match(self, method: str, path: str) -> tuple[Route, str] | Answer:
        """As `WebInbox.match`."""
        return self._web.match(method, path)

    def answer(self, route: Route, recipient: Recipient | None, request: Request) -> Answer | SyncStreamResponse:
        """As `WebInbox.answer`, but blocking. The request's body, bytes or a function, is read on the caller's
        thread."""
        if route.reads_body:  # not in the endpoint, which may run on an event loop that all threads share
            if (refused := self._web._refuse(route, recipient, request)) is not None:
                return refused
            try:
                request = replace(request, body=read_body_blocking(request))
            except BodyRefused as error:
                return error.answer
        answer = self._inbox.run(self._web.answer(route, recipient, request))
        if isinstance(answer, Answer) or recipient is None:
            assert isinstance(answer, Answer)
            return answer
        stream = SyncStreamResponse(self._inbox, recipient, resumed=answer.resumed)
        if self._live:
            self._watch_signals()  # again: the server may have installed its own handlers meanwhile
            return stream
        return stream.poll()

    def _watch_signals(self) -> None:
        hub = self._web.inbox.hub
        if self._live and self._close_on_signals and hub is not None:
            close_on_signal(hub)


class SyncStreamResponse:
    """The response to `GET .../stream`, as `StreamResponse`; it occupies a thread while it is open."""

    status: Final = 200
    headers: Final[Mapping[str, str]] = HEADERS

    def __init__(self, inbox: SyncInbox, recipient: Recipient, *, resumed: bool) -> None:
        self._inbox = inbox
        self._recipient = recipient
        self._resumed = resumed

    def poll(self) -> Answer:
        """The response that ends after the count, which makes browsers poll."""
        greeting, _ = self._inbox.run(begin(self._inbox._inbox, self._recipient, None, resumed=self._resumed))
        return Answer(self.status, greeting, self.headers)

    def frames(self) -> Generator[bytes, None, None]:
        """Yields the bytes to send, as they come. Close the generator when the client has disconnected."""
        inbox, loop = self._inbox._inbox, self._inbox._loop
        stream = loop.run(self._subscribe())
        try:
            greeting, lasts = self._inbox.run(begin(inbox, self._recipient, stream, resumed=self._resumed))
            yield greeting
            while lasts and stream is not None and (data := loop.run(_next(stream))):
                yield data
        finally:
            if stream is not None:
                loop.run(_leave(stream))

    async def _subscribe(self) -> Subscription | None:
        stream = subscribe(self._inbox._inbox, self._recipient)
        return None if stream is None else await stream.__aenter__()


async def _next(stream: Subscription) -> bytes:
    return await anext(stream, b"")


async def _leave(stream: Subscription) -> None:
    await stream.__aexit__(None, None, None)
