"""An application in this process: an inbox, a page of the test's own, and optionally bearer tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from playwright.async_api import BrowserContext, Page
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app

from ..web.served import Served, serving, until

ADA = Recipient("ada")
MOBILE = '<meta name="viewport" content="width=device-width, initial-scale=1">'
ELEMENT = '<script type="module" src="/notifications/notistore-inbox.js"></script>'


@dataclass
class Application:
    """Ada's inbox at `/notifications`, and a page at `/`.

    Attributes:
        tokens: the bearer tokens of Ada; None if requests need none.
        streams: the headers of each request for the stream.
        raw: if set, responds to stream requests in place of the inbox.
    """

    served: Served
    inbox: Inbox
    html: str = ""
    tokens: set[str] | None = None
    streams: list[Headers] = field(default_factory=list)
    raw: Callable[[Send], Awaitable[None]] | None = None

    async def open_page(self, context: BrowserContext, body: str, *, head: str = ELEMENT) -> Page:
        page = await context.new_page()
        self.show(body, head=head)
        await page.goto(f"{self.served.url}/")
        return page

    def show(self, body: str, *, head: str = ELEMENT) -> None:
        """Set the page's HTML."""
        self.html = f"<!doctype html><html lang=en><meta charset=utf-8>{MOBILE}<title>Page</title>{head}<body>{body}"

    async def connected(self) -> None:
        """Return once Ada has a stream. Earlier sends are only in its first count."""
        assert self.inbox.hub is not None
        hub = self.inbox.hub
        await until(lambda: hub.is_online(ADA))

    def recipient(self, request: HTTPConnection) -> Recipient | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return ADA if self.tokens is None or token in self.tokens else None


@asynccontextmanager
async def serve_application() -> AsyncIterator[Application]:
    async with serving() as served:
        app = Application(served, Inbox(MemoryStore(), SseHub()))
        api = inbox_app(app.inbox, app.recipient, close_on_signals=False)

        async def page(request: Request) -> HTMLResponse:
            return HTMLResponse(app.html)

        async def icon(request: Request) -> Response:
            return Response(status_code=204)

        async def record_streams(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("/stream"):
                app.streams.append(Headers(scope=scope))
                if app.raw is not None:
                    await app.raw(send)
                    return
            await api(scope, receive, send)

        served.app = Starlette(routes=[Route("/", page), Route("/favicon.ico", icon), Mount("/", record_streams)])
        yield app
        assert app.inbox.hub is not None
        app.inbox.hub.close()
