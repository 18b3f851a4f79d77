from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, TypeAlias

import httpx
import pytest
from starlette.types import ASGIApp

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore._seldom import Seldom
from notistore.web import endpoints, stream

from .mounts import MOUNTS, Mount
from .served import Served, serving

USER = Recipient("42")

Visit: TypeAlias = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(autouse=True)
def nothing_has_been_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that looks at the log is not the first of this process to make a store fail."""
    monkeypatch.setattr(endpoints, "_failing", Seldom())
    monkeypatch.setattr(stream, "_failing", Seldom())
    monkeypatch.setattr(stream, "_refusing", Seldom())


@pytest.fixture(params=MOUNTS.values(), ids=MOUNTS.keys())
def mount(request: pytest.FixtureRequest) -> Mount:
    return request.param


@pytest.fixture
def user() -> Recipient:
    return USER


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def hub() -> SseHub:
    return SseHub()


@pytest.fixture
def inbox(store: MemoryStore, hub: SseHub) -> Inbox:
    return Inbox(store, hub)


@pytest.fixture
def noon() -> datetime:
    return datetime(2026, 11, 20, 12, 0, 0, 123_000, tzinfo=UTC)


@pytest.fixture
def visit(mount: Mount) -> Visit:
    """`async with visit(inbox, **options) as client`: a client of `user`'s inbox, mounted with these options."""

    def visit(inbox: Inbox, **options: Any) -> httpx.AsyncClient:
        return client_of(mount.build(inbox, **options), mount.prefix)

    return visit


@pytest.fixture
async def client(visit: Visit, inbox: Inbox) -> AsyncIterator[httpx.AsyncClient]:
    async with visit(inbox) as client:
        yield client


def client_of(app: ASGIApp, prefix: str = "") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)  # raises what the app raises
    return httpx.AsyncClient(transport=transport, base_url=f"http://test{prefix}", headers={"x-user": USER.id})


@pytest.fixture(scope="session")
async def uvicorn_server() -> AsyncIterator[Served]:
    async with serving() as served:
        yield served


@pytest.fixture
async def served(uvicorn_server: Served, mount: Mount, inbox: Inbox) -> Served:
    """The inbox behind this mount, on a real server."""
    uvicorn_server.app = mount.build(inbox)
    return uvicorn_server
