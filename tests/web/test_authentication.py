"""The applications of docs/authentication.md, run from the page's code: each kind of login and logout."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from notistore import Recipient

from .served import Served, Stream, until

PAGE = Path(__file__).parents[2] / "docs" / "authentication.md"


def blocks(section: str) -> str:
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def load(name: str, source: str, folder: Path) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class ServedApplication:
    """One of the page's applications on a server, with an HTTP client and the requests that all tests make."""

    def __init__(self, served: Served, application: Any, prefix: str = "") -> None:
        self.served = served
        self.prefix = prefix
        self.application = application
        self.user = ""
        self.http = httpx.AsyncClient(base_url=served.url)

    async def count(self, **headers: str) -> int:
        return (await self.http.get(f"{self.prefix}/notifications/unread/count", headers=headers)).status_code

    async def stream(self, path: str = "/notifications/stream", **headers: str) -> int:
        async with self.served.stream(self.prefix + path, **headers) as stream:
            return stream.status


async def read_to_end(stream: Stream) -> None:
    while await stream.frame():
        pass


# FastAPI


@pytest.fixture
async def fastapi_app(uvicorn_server: Served, tmp_path: Path) -> AsyncIterator[ServedApplication]:
    source = blocks("FastAPI").replace("sqlite+aiosqlite:///app.db", f"sqlite+aiosqlite:///{tmp_path}/app.db")
    main = load("notistore_page_fastapi", source, tmp_path)
    from fastapi_users.schemas import BaseUserCreate

    async with main.engine.begin() as connection:
        await connection.run_sync(main.Base.metadata.create_all)
    await main.store.create_schema()
    app = ServedApplication(uvicorn_server, main)
    async for manager in main.user_manager():
        user = await manager.create(BaseUserCreate(email="ada@example.com", password="difference engine"))
        app.user = str(user.id)
    uvicorn_server.app = main.app
    yield app
    await app.http.aclose()
    await until(lambda: not main.engine.pool.checkedout())  # the server may still be closing the last request's session
    await main.engine.dispose()
    del sys.modules[main.__name__]


CREDENTIALS = {"username": "ada@example.com", "password": "difference engine"}


async def bearer_of(app: ServedApplication) -> str:
    answer = await app.http.post("/auth/bearer/login", data=CREDENTIALS)
    token: str = answer.raise_for_status().json()["access_token"]
    return token


async def cookie_of(app: ServedApplication) -> str:
    answer = await app.http.post("/auth/cookie/login", data=CREDENTIALS)
    app.http.cookies.clear()
    return answer.raise_for_status().headers["set-cookie"].split(";")[0]


async def test_fastapi_without_credentials_is_401(fastapi_app: ServedApplication) -> None:
    assert await fastapi_app.count() == 401
    assert await fastapi_app.stream() == 401
    assert await fastapi_app.stream("/notifications/stream?token=x") == 401


async def test_fastapi_a_cookie_and_a_bearer_token_are_the_user(fastapi_app: ServedApplication) -> None:
    await fastapi_app.application.inbox.send(Recipient(fastapi_app.user), "t")
    for headers in (
        {"cookie": await cookie_of(fastapi_app)},
        {"authorization": f"Bearer {await bearer_of(fastapi_app)}"},
    ):
        assert await fastapi_app.count(**headers) == 200
        async with fastapi_app.served.stream("/notifications/stream", **headers) as stream:
            assert b'{"count":1}' in await stream.frame()


async def test_fastapi_a_query_token_opens_a_stream_and_nothing_else(fastapi_app: ServedApplication) -> None:
    headers = {"authorization": f"Bearer {await bearer_of(fastapi_app)}"}
    token = (await fastapi_app.http.post("/stream-token", headers=headers)).json()["token"]
    assert await fastapi_app.stream(f"/notifications/stream?token={token}") == 200
    assert await fastapi_app.count(authorization=f"Bearer {token}") == 401
    assert (await fastapi_app.http.get(f"/notifications?token={token}")).status_code == 401
    access = headers["authorization"].removeprefix("Bearer ")
    assert await fastapi_app.stream(f"/notifications/stream?token={access}") == 401
    assert (await fastapi_app.http.post("/stream-token")).status_code == 401


async def test_fastapi_a_socket_takes_the_cookie_and_a_token(fastapi_app: ServedApplication) -> None:
    url = fastapi_app.served.url.replace("http", "ws", 1) + "/notifications/ws"
    token = await bearer_of(fastapi_app)
    for options in (
        {"subprotocols": ["notistore", f"bearer.{token}"]},
        {"additional_headers": {"cookie": await cookie_of(fastapi_app)}},
    ):
        async with connect(url, **options) as socket, asyncio.timeout(60):
            assert json.loads(await socket.recv())["data"] == {"count": 0}
    for options in ({}, {"subprotocols": ["notistore", f"bearer.{token}x"]}):
        with pytest.raises(websockets.InvalidStatus):
            async with connect(url, **options):
                pass


async def test_fastapi_logging_out_ends_the_stream(fastapi_app: ServedApplication) -> None:
    cookie = await cookie_of(fastapi_app)
    async with fastapi_app.served.stream("/notifications/stream", cookie=cookie) as stream:
        await stream.frame()
        answer = await fastapi_app.http.post("/logout", headers={"cookie": cookie})
        assert answer.is_success
        assert 'fastapiusersauth=""' in answer.headers["set-cookie"]
        await read_to_end(stream)


# Django


@pytest.fixture(scope="module")
def django_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    from tests.django_project import set_up

    set_up()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    yield load("notistore_page_django", blocks("Django"), tmp_path_factory.mktemp("django"))
    del sys.modules["notistore_page_django"]


@pytest.fixture
async def django_app(uvicorn_server: Served, django_page: ModuleType) -> AsyncIterator[ServedApplication]:
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.contrib.auth.views import LogoutView
    from django.test import override_settings
    from django.urls import path

    from tests.django_project.asgi import DjangoApplication

    app = ServedApplication(uvicorn_server, django_page)
    user = await User.objects.acreate_user("ada", password="difference engine")
    app.user = str(user.pk)
    urls = [*django_page.urlpatterns, path("logout", LogoutView.as_view(next_page="/"))]
    with override_settings(MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", *settings.MIDDLEWARE]):
        uvicorn_server.app = DjangoApplication(urls)
    yield app
    await app.http.aclose()
    await user.adelete()


async def session_of(app: ServedApplication) -> str:
    from django.test import AsyncClient

    client = AsyncClient()
    assert await client.alogin(username="ada", password="difference engine")
    return f"sessionid={client.cookies['sessionid'].value}"


async def test_django_without_credentials_is_401(django_app: ServedApplication) -> None:
    assert await django_app.count() == 401
    assert await django_app.count(authorization="Bearer x") == 401
    assert await django_app.stream("/notifications/stream?token=x") == 401
    assert (await django_app.http.post("/stream-token")).status_code == 401


async def test_django_a_session_and_a_bearer_token_are_the_user(django_app: ServedApplication) -> None:
    token = django_app.application.access_tokens.sign(django_app.user)
    for headers in ({"cookie": await session_of(django_app)}, {"authorization": f"Bearer {token}"}):
        assert await django_app.count(**headers) == 200
        async with django_app.served.stream("/notifications/stream", **headers) as stream:
            assert b'{"count":0}' in await stream.frame()


async def test_django_a_query_token_opens_a_stream_and_nothing_else(django_app: ServedApplication) -> None:
    access = django_app.application.access_tokens.sign(django_app.user)
    for headers in ({"cookie": await session_of(django_app)}, {"authorization": f"Bearer {access}"}):
        token = (await django_app.http.post("/stream-token", headers=headers)).json()["token"]
        assert await django_app.stream(f"/notifications/stream?token={token}") == 200
        assert await django_app.count(authorization=f"Bearer {token}") == 401
        assert (await django_app.http.get(f"/notifications?token={token}")).status_code == 401
    assert await django_app.stream(f"/notifications/stream?token={access}") == 401


async def test_django_logging_out_ends_the_stream(django_app: ServedApplication) -> None:
    cookie = await session_of(django_app)
    async with django_app.served.stream("/notifications/stream", cookie=cookie) as stream:
        await stream.frame()
        csrf = "c" * 32
        headers = {"cookie": f"{cookie}; csrftoken={csrf}", "x-csrftoken": csrf}
        assert (await django_app.http.post("/logout", headers=headers)).is_redirect
        await read_to_end(stream)
    assert await django_app.count(cookie=cookie) == 401


# Litestar


@pytest.fixture
async def litestar_app(uvicorn_server: Served, tmp_path: Path) -> AsyncIterator[ServedApplication]:
    module = load("notistore_page_litestar", blocks("Litestar"), tmp_path)
    app = ServedApplication(uvicorn_server, module, "/api")
    app.user = "ada"
    uvicorn_server.app = module.app
    yield app
    await app.http.aclose()
    del sys.modules[module.__name__]


async def login_of(app: ServedApplication) -> tuple[str, str]:
    """The cookie and the bearer token that a login gives."""
    answer = (await app.http.post("/login", json={"user": "ada"})).raise_for_status()
    app.http.cookies.clear()
    return answer.headers["set-cookie"].split(";")[0], answer.headers["authorization"]


async def test_litestar_without_credentials_is_401(litestar_app: ServedApplication) -> None:
    assert await litestar_app.count() == 401
    assert await litestar_app.count(authorization="Bearer x") == 401
    assert await litestar_app.stream("/notifications/stream?token=x") == 401
    assert (await litestar_app.http.post("/stream-token")).status_code == 401


async def test_litestar_a_cookie_and_a_bearer_token_are_the_user(litestar_app: ServedApplication) -> None:
    cookie, bearer = await login_of(litestar_app)
    for headers in ({"cookie": cookie}, {"authorization": bearer}):
        assert await litestar_app.count(**headers) == 200
        async with litestar_app.served.stream("/api/notifications/stream", **headers) as stream:
            assert b'{"count":0}' in await stream.frame()


async def test_litestar_a_query_token_opens_a_stream_and_nothing_else(litestar_app: ServedApplication) -> None:
    _, bearer = await login_of(litestar_app)
    answer = await litestar_app.http.post("/stream-token", headers={"authorization": bearer})
    token = answer.json()["token"]
    assert await litestar_app.stream(f"/notifications/stream?token={token}") == 200
    assert await litestar_app.count(authorization=f"Bearer {token}") == 401
    assert (await litestar_app.http.get(f"/api/notifications?token={token}")).status_code == 401
    access = bearer.removeprefix("Bearer ")
    assert await litestar_app.stream(f"/notifications/stream?token={access}") == 401


async def test_litestar_a_socket_takes_the_cookie_and_a_token(litestar_app: ServedApplication) -> None:
    url = litestar_app.served.url.replace("http", "ws", 1) + "/api/notifications/ws"
    cookie, bearer = await login_of(litestar_app)
    protocols: list[Any] = ["notistore", f"bearer.{bearer.removeprefix('Bearer ')}"]
    async with connect(url, subprotocols=protocols) as socket, asyncio.timeout(60):
        assert json.loads(await socket.recv())["data"] == {"count": 0}
    async with connect(url, additional_headers={"cookie": cookie}) as socket, asyncio.timeout(60):
        assert json.loads(await socket.recv())["data"] == {"count": 0}
    with pytest.raises(websockets.InvalidStatus):
        async with connect(url):
            pass


async def test_litestar_logging_out_ends_the_stream(litestar_app: ServedApplication) -> None:
    cookie, _ = await login_of(litestar_app)
    async with litestar_app.served.stream("/api/notifications/stream", cookie=cookie) as stream:
        await stream.frame()
        assert (await litestar_app.http.post("/logout", headers={"cookie": cookie})).is_success
        await read_to_end(stream)
