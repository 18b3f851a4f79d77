"""The configurations in examples/deploy/, on real proxies in front of a real uvicorn, over TLS."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.conftest import running
from tools.web_servers import ASGI_SERVERS
from tools.web_servers import running as running_web

from .proxies import Caddy, HAProxy, Nginx, Proxy


@pytest.fixture(scope="module")
async def application() -> AsyncIterator[int]:
    """The port of an application that serves the inbox."""
    async with running_web(ASGI_SERVERS["uvicorn"], app="tests.deploy.application:app") as server:
        yield server.port


@pytest.fixture(scope="module", params=[Nginx, HAProxy, Caddy])
def proxy(application: int, request: pytest.FixtureRequest) -> Any:
    with running(lambda: request.param(application), request) as proxy:
        yield proxy


def connection(proxy: Proxy) -> httpx.AsyncClient:
    """An HTTP client like a browser: HTTP/2 over one connection, however many streams are open."""
    return httpx.AsyncClient(
        base_url=proxy.url,
        verify=ssl.create_default_context(cafile=proxy.certificate),
        http1=False,
        http2=True,
        limits=httpx.Limits(max_connections=1),
        timeout=30,
        headers={"x-user": proxy.program},
    )


@pytest.fixture
async def browser(proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    async with connection(proxy) as client:
        yield client


async def data_of(stream: httpx.Response) -> AsyncIterator[Any]:
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def test_an_event_arrives_before_the_next_is_sent_and_leaving_is_noticed(
    browser: httpx.AsyncClient, proxy: Proxy
) -> None:
    async with asyncio.timeout(60):
        # httpx ends a stream only with its connection, so it has one of its own.
        async with connection(proxy) as leaving, leaving.stream("GET", "/notifications/stream") as stream:
            assert (stream.status_code, stream.http_version) == (200, "HTTP/2")
            data = data_of(stream)
            assert "count" in await anext(data)
            for text in ("first", "second", "third"):
                await browser.post(f"/send/{text}")
                assert (await anext(data))["data"] == {"title": text}
            assert (await browser.get("/online")).json() is True
        while True:
            if (await browser.get("/online")).json() is False:
                break
            await asyncio.sleep(0.1)


async def test_many_tabs_share_one_connection(browser: httpx.AsyncClient) -> None:
    """Over HTTP/1.1 a browser's seventh stream would wait for ever."""
    async with asyncio.timeout(60), AsyncExitStack() as tabs:
        streams = [await tabs.enter_async_context(browser.stream("GET", "/notifications/stream")) for _ in range(20)]
        data = [data_of(stream) for stream in streams]
        for each in data:
            assert "count" in await anext(each)
        await browser.post("/send/all")
        assert [(await anext(each))["data"] for each in data] == [{"title": "all"}] * 20


async def test_a_websocket_of_the_same_origin_works_and_of_another_is_refused(
    browser: httpx.AsyncClient, proxy: Proxy
) -> None:
    url = f"{proxy.url.replace('https', 'wss')}/notifications/ws"
    tls = ssl.create_default_context(cafile=proxy.certificate)
    options: dict[str, Any] = {"ssl": tls, "additional_headers": {"x-user": proxy.program}}
    async with asyncio.timeout(60), connect(url, origin=proxy.url, **options) as socket:
        assert "count" in json.loads(await socket.recv())["data"]
        await browser.post("/send/hello")
        assert json.loads(await socket.recv())["data"]["data"] == {"title": "hello"}
        await socket.send(json.dumps({"type": "get_unread_count"}))
        assert "count" in json.loads(await socket.recv())["data"]
    with pytest.raises(InvalidStatus, match="403"):
        await connect(url, origin="https://elsewhere.example", **options)


async def test_a_post_of_the_same_origin_is_taken_and_of_another_refused(
    browser: httpx.AsyncClient, proxy: Proxy
) -> None:
    """Requests without Sec-Fetch-Site, as old browsers send them, and all browsers over plain HTTP."""
    read_all = "/notifications/read-all"
    assert (await browser.post(read_all, headers={"origin": proxy.url})).status_code == 204
    assert (await browser.post(read_all, headers={"origin": "https://elsewhere.example"})).status_code == 403
