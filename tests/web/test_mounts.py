"""The mounts apart from their responses: paths, caching, OpenAPI models, and middleware of the host application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount as StarletteMount
from starlette.types import ASGIApp

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app
from notistore.web.fastapi import NotificationItem, inbox_router

from .conftest import MakeClient, client_for
from .mounts import Mount, async_user_of, user_of
from .served import Served

ID = "0193abcd-0000-7000-8000-000000000000"


async def test_path_renames_every_route(make_client: MakeClient, inbox: Inbox) -> None:
    async with make_client(inbox, path="/v1/bell") as client:
        assert (await client.get("/v1/bell")).status_code == 200
        assert (await client.get("/v1/bell/unread/count")).status_code == 200
        assert (await client.post("/v1/bell/read-all")).status_code == 204
        assert (await client.get("/v1/bell/notistore-inbox.js")).status_code == 200
        assert (await client.get("/notifications")).status_code == 404


async def test_a_path_may_carry_the_tenant(inbox: Inbox) -> None:
    def tenant_of(request: Request) -> Recipient:
        return Recipient("42", tenant=request.path_params["tenant"])

    await inbox.send(Recipient("42", tenant="acme"), "t")
    app = FastAPI()
    app.include_router(inbox_router(inbox, tenant_of, path="/{tenant}/notifications"))
    for host in (app, inbox_app(inbox, tenant_of, path="/{tenant}/notifications")):
        async with client_for(host) as client:
            for tenant, count in (("acme", 1), ("other", 0)):
                assert (await client.get(f"/{tenant}/notifications/unread/count")).json() == {"count": count}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/notifications", 200),
        ("GET", "/notifications/unread", 200),
        ("GET", "/notifications/unread/count", 200),
        ("GET", "/notifications/notistore-inbox.js", 200),
        ("PATCH", "/notifications/read", 200),
        ("POST", "/notifications/read-all", 204),
        ("POST", "/notifications/{id}/read", 204),
        ("POST", "/notifications/{id}/unread", 204),
        ("DELETE", "/notifications/{id}", 204),
    ],
)
async def test_one_slash_at_a_paths_end_is_tolerated_and_nothing_redirects(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient, method: str, path: str, status: int
) -> None:
    body = {"ids": []} if method == "PATCH" else None
    for slash in ("", "/"):
        sent = await inbox.send(user, "t")
        answer = await client.request(method, path.format(id=sent.id) + slash, json=body)
        assert answer.status_code == status, answer.text
    assert not (await client.request(method, path.format(id=sent.id) + "//", json=body)).is_success


@pytest.mark.parametrize("path", ["/notifications/stream", "/notifications/stream/"])
async def test_a_stream_tolerates_a_trailing_slash_too(served: Served, mount: Mount, path: str) -> None:
    async with served.stream(mount.prefix + path) as stream:
        assert b'{"count":0}' in await stream.frame()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/notifications", 200),
        ("GET", "/notifications?before=", 200),
        ("GET", "/notifications/unread", 200),
        ("GET", "/notifications/unread/count", 200),
        ("POST", "/notifications/read-all", 204),
        ("POST", f"/notifications/{ID}/read", 404),
        ("DELETE", f"/notifications/{ID}", 404),
        ("GET", "/notifications?page=x", 422),
    ],
)
async def test_no_answer_may_be_kept_by_a_shared_cache(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_element_is_served_as_a_module(client: httpx.AsyncClient) -> None:
    del client.headers["x-user"]  # a page loads it before anyone has signed in
    answer = await client.get("/notifications/notistore-inbox.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "notistore-inbox" in answer.text


# FastAPI


async def test_the_models_take_what_is_sent(inbox: Inbox, user: Recipient) -> None:
    app = FastAPI()
    app.include_router(inbox_router(inbox, async_user_of))
    sent = await inbox.send(user, "t", {"deep": [1, None, {"a": True}]})
    async with client_for(app) as client:
        [item] = (await client.get("/notifications/unread")).json()
    assert NotificationItem.model_validate(item).createdAt == sent.created_at


async def test_the_recipient_may_have_dependencies_and_be_sync(inbox: Inbox, user: Recipient) -> None:
    def session(x_session: Annotated[str | None, Header()] = None) -> str:
        if x_session != "good":
            raise HTTPException(403, "no such session")
        return x_session

    def recipient(session: str = Depends(session)) -> Recipient:
        return user

    await inbox.send(user, "t")
    app = FastAPI()
    outer = APIRouter(prefix="/api")
    outer.include_router(inbox_router(inbox, recipient))
    app.include_router(outer, prefix="/v1")
    async with client_for(app, "/v1/api") as client:
        answer = await client.get("/notifications/unread/count", headers={"x-session": "good"})
        assert answer.json() == {"count": 1}
        assert (await client.get("/notifications/stream", headers={"x-session": "bad"})).status_code == 403


async def test_no_dependency_is_held_while_a_stream_is_open(
    uvicorn_server: Served, inbox: Inbox, user: Recipient
) -> None:
    held = 0

    async def session() -> AsyncIterator[None]:
        nonlocal held
        held += 1
        yield
        held -= 1

    async def recipient(session: None = Depends(session)) -> Recipient:
        assert held == 1
        return user

    app = FastAPI()
    app.include_router(inbox_router(inbox, recipient))
    uvicorn_server.app = app
    async with uvicorn_server.stream("/notifications/stream") as stream:
        assert b'{"count":0}' in await stream.frame()
        assert held == 0
        await inbox.send(user, "t")
        assert (await stream.frame()).startswith(b"event: notification\n")


# Middleware of the host


async def call_endpoint(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["x-seen"] = "yes"
    return response


MIDDLEWARE = {
    "BaseHTTPMiddleware": Middleware(BaseHTTPMiddleware, dispatch=call_endpoint),
    "GZipMiddleware": Middleware(GZipMiddleware, minimum_size=1),
    "CORSMiddleware": Middleware(CORSMiddleware, allow_origins=["https://app.example.com"], allow_credentials=True),
}


def starlette_host(inbox: Inbox, middleware: Middleware) -> ASGIApp:
    mounted = inbox_app(inbox, user_of, trusted_origins=["https://app.example.com"])
    return Starlette(routes=[StarletteMount("/", mounted)], middleware=[middleware])


def fastapi_host(inbox: Inbox, middleware: Middleware) -> ASGIApp:
    app = FastAPI(middleware=[middleware])
    app.include_router(inbox_router(inbox, async_user_of, trusted_origins=["https://app.example.com"]))
    return app


@pytest.fixture(params=[starlette_host, fastapi_host])
def host(request: pytest.FixtureRequest) -> Callable[[Inbox, Middleware], ASGIApp]:
    return request.param


@pytest.mark.parametrize("middleware", MIDDLEWARE.values(), ids=MIDDLEWARE.keys())
async def test_a_stream_passes_middleware_frame_by_frame_and_ends_with_its_client(
    uvicorn_server: Served, host: Any, inbox: Inbox, hub: SseHub, user: Recipient, middleware: Middleware
) -> None:
    uvicorn_server.app = host(inbox, middleware)
    headers = {"accept_encoding": "gzip", "origin": "https://app.example.com"}
    async with uvicorn_server.stream("/notifications/stream", **headers) as stream:
        assert "content-encoding" not in stream.headers
        assert b'{"count":0}' in await stream.frame()
        for n in range(3):
            await inbox.send_live(user, "t", {"n": n})
            assert f'"data":{{"n":{n}}}'.encode() in await stream.frame()
    await uvicorn_server.idle()
    assert hub.stats().ended == {"left": 1}

    async with uvicorn_server.stream("/notifications/stream", **headers) as stream:
        await stream.frame()
        hub.close()
        assert await stream.frame() == b""
    await uvicorn_server.idle()


async def test_what_middleware_adds_to_one_stream_reaches_no_other(
    uvicorn_server: Served, host: Any, inbox: Inbox
) -> None:
    async def sign_in(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.set_cookie("session", request.headers["x-user"])
        return response

    uvicorn_server.app = host(inbox, Middleware(BaseHTTPMiddleware, dispatch=sign_in))
    for user in ("42", "43"):
        async with uvicorn_server.stream("/notifications/stream", x_user=user) as stream:
            [cookie] = stream.headers.get_list("set-cookie")
            assert cookie.startswith(f"session={user};")


async def test_an_unsafe_request_passes_middleware(host: Any, inbox: Inbox, user: Recipient) -> None:
    sent = await inbox.send(user, "t")
    for middleware in MIDDLEWARE.values():
        async with client_for(host(inbox, middleware)) as client:
            headers = {"origin": "https://app.example.com", "sec-fetch-site": "cross-site"}
            answer = await client.patch("/notifications/read", json={"ids": [sent.id]}, headers=headers)
            assert answer.json() == {"updated": 1}
            await inbox.mark_unread(user, sent.id)
            if middleware.cls is CORSMiddleware:
                assert answer.headers["access-control-allow-origin"] == "https://app.example.com"


async def test_hosts_share_one_inbox(mount: Mount, store: MemoryStore, user: Recipient) -> None:
    one, two = (mount.build(Inbox(store)) for _ in range(2))
    async with client_for(one, mount.prefix) as first, client_for(two, mount.prefix) as second:
        sent = await Inbox(store).send(user, "t")
        await first.post(f"/notifications/{sent.id}/read")
        assert (await second.get("/notifications/unread/count")).json() == {"count": 0}
