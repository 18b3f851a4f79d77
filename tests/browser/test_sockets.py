"""Which pages may open a user's WebSocket, given what real browsers send with the handshake."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.async_api import async_playwright
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from notistore import Inbox, MemoryStore, Recipient
from notistore.web import inbox_app
from tests.web.served import serving

from . import firefox
from .conftest import ARGUMENTS


class Page(Protocol):
    """A page of either browser."""

    def goto(self, url: str) -> Awaitable[Any]: ...
    def evaluate(self, promise: str) -> Awaitable[Any]: ...


@asynccontextmanager
async def chromium_page(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Page]:
    path = request.getfixturevalue("chromium")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=ARGUMENTS, env=dict(os.environ))
        yield await browser.new_page()
        await browser.close()


@asynccontextmanager
async def firefox_page(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Page]:
    if firefox.FIREFOX is None:
        (pytest.fail if request.config.getoption("--require-services") else pytest.skip)(firefox.INSTALL)
    async with firefox.running(folder) as page:
        yield page


@pytest.fixture(scope="module", params=[chromium_page, firefox_page], ids=["chromium", "firefox"])
async def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    open_page: Callable[..., Any] = request.param
    async with open_page(request, tmp_path_factory.mktemp("browser")) as page:
        yield page


async def sign_in(request: Request) -> Response:
    response = HTMLResponse("<!doctype html><title>signed in</title>")
    response.set_cookie("user", "42")
    return response


async def sibling(request: Request) -> Response:
    return HTMLResponse("<!doctype html><title>another port</title>")


def user_of(connection: HTTPConnection) -> Recipient | None:
    return Recipient(connection.cookies["user"]) if "user" in connection.cookies else None


def make_application(*trusted: str) -> Starlette:
    app = inbox_app(Inbox(MemoryStore()), user_of, websocket=user_of, trusted_origins=trusted, close_on_signals=False)
    return Starlette(routes=[Route("/", sign_in), Mount("/", app)])


def first_message(url: str) -> str:
    """JavaScript: a promise of the first message of the WebSocket at this URL, or of "refused"."""
    return f"""new Promise((resolve) => {{
        const socket = new WebSocket({json.dumps(url.replace("http", "ws", 1) + "/notifications/ws")});
        socket.onmessage = (event) => {{ resolve(event.data); socket.close(); }};
        socket.onerror = () => resolve("refused");
    }})"""


async def test_only_a_page_of_the_same_or_a_trusted_origin_opens_the_users_socket(page: Page) -> None:
    """Cookies have no port: the browser sends the user's with the handshake of a page on another one, too."""
    async with serving() as own, serving() as other:
        own.app = make_application()
        other.app = Starlette(routes=[Route("/", sibling)])
        await page.goto(own.url + "/")
        count = {"event": "notification", "data": {"count": 0}}
        assert json.loads(await page.evaluate(first_message(own.url))) == count
        await page.goto(other.url + "/")
        assert await page.evaluate(first_message(own.url)) == "refused"
        own.app = make_application(other.url)
        assert json.loads(await page.evaluate(first_message(own.url))) == count
