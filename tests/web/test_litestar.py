"""The router in Litestar: its dependencies, and what a host adds around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, Request, Response
from litestar.di import NamedDependency, Provide

from notistore import Inbox, InvalidArgument, MemoryStore, Recipient, SseHub
from notistore.web.litestar import inbox_router
from notistore_sqlite import SQLiteStore

from .conftest import client_for
from .served import Served, until


def id_of(request: Request[Any, Any, Any]) -> str:
    return str(request.headers["x-user"])


async def count(app: Any) -> httpx.Response:
    async with client_for(app) as client:
        return await client.get("/notifications/unread/count")


async def test_the_recipient_is_a_dependency_with_dependencies_of_its_own(inbox: Inbox) -> None:
    async def recipient(user: NamedDependency[str]) -> Recipient:
        return Recipient(user)

    await inbox.send(Recipient("42"), "t")
    app = Litestar([inbox_router(inbox, recipient)], dependencies={"user": Provide(id_of, sync_to_thread=False)})
    assert (await count(app)).json() == {"count": 1}


async def test_it_may_be_sync_and_it_may_be_a_provide(inbox: Inbox) -> None:
    def recipient(request: Request[Any, Any, Any]) -> Recipient:
        return Recipient(id_of(request))

    for given in (recipient, Provide(recipient, sync_to_thread=True)):
        assert (await count(Litestar([inbox_router(inbox, given)]))).json() == {"count": 0}


async def test_no_recipient_or_an_invalid_one_is_401(inbox: Inbox) -> None:
    async def nobody() -> Recipient | None:
        return None

    async def too_long() -> Recipient:
        return Recipient("u" * 200)

    for recipient in (nobody, too_long):
        answer = await count(Litestar([inbox_router(inbox, recipient)]))
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


async def test_a_stream_begins_when_the_dependencies_have_been_left(
    inbox: Inbox, hub: SseHub, uvicorn_server: Served
) -> None:
    left = []

    async def recipient() -> AsyncIterator[Recipient]:
        yield Recipient("42")
        left.append(hub.stats().streams)

    app: Any = Litestar([inbox_router(inbox, recipient)])
    uvicorn_server.app = app
    async with uvicorn_server.stream("/notifications/stream") as stream:
        assert b'{"count":0}' in await stream.frame()
        assert left == [0]
    await until(lambda: hub.stats().streams == 0)


async def test_a_host_may_look_at_each_response(inbox: Inbox, uvicorn_server: Served) -> None:
    async def recipient() -> Recipient:
        return Recipient("42")

    async def after(response: Response[Any]) -> Response[Any]:
        response.headers["x-host"] = "seen"
        return response

    app: Any = Litestar([inbox_router(inbox, recipient)], after_request=after)
    assert (await count(app)).headers["x-host"] == "seen"
    uvicorn_server.app = app
    async with uvicorn_server.stream("/notifications/stream") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"


def test_options_are_checked_as_every_mount_checks_them(inbox: Inbox) -> None:
    with pytest.raises(InvalidArgument, match=r"^path: "):
        inbox_router(inbox, lambda: None, path="x")


async def test_a_stores_schema_may_be_created_on_startup(tmp_path: Path) -> None:
    async def recipient() -> Recipient:
        return Recipient("42")

    store = SQLiteStore(tmp_path / "inbox.db")
    app = Litestar([inbox_router(Inbox(store), recipient)], on_startup=[store.create_schema])
    async with app.lifespan():
        assert (await count(app)).json() == {"count": 0}
    await store.close()


async def test_two_may_be_mounted(inbox: Inbox) -> None:
    async def recipient() -> Recipient:
        return Recipient("42")

    other = Inbox(MemoryStore())
    await other.send(Recipient("42"), "t")
    app: Any = Litestar([inbox_router(inbox, recipient), inbox_router(other, recipient, path="/admin/notifications")])
    async with client_for(app) as client:
        assert (await client.get("/notifications/unread/count")).json() == {"count": 0}
        assert (await client.get("/admin/notifications/unread/count")).json() == {"count": 1}
    assert "/admin/notifications/stream" in app.openapi_schema.to_schema()["paths"]
