from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, TypeAlias

import httpx
import pytest
from starlette.types import ASGIApp

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore._log_throttle import LogThrottle
from notistore.web import endpoints, stream

from .mounts import MOUNTS, Mount
from .served import Served, serving

USER = Recipient("42")

MakeClient: TypeAlias = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(autouse=True)
def reset_log_throttles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log messages are throttled per process: without a reset, an earlier test could suppress those of this one."""
    monkeypatch.setattr(endpoints, "_failing", LogThrottle())
    monkeypatch.setattr(stream, "_failing", LogThrottle())
    monkeypatch.setattr(stream, "_refusing", LogThrottle())


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
def make_client(mount: Mount) -> MakeClient:
    """A factory: `async with make_client(inbox, **options) as client` is an HTTP client of the mounted inbox."""

    def make_client(inbox: Inbox, **options: Any) -> httpx.AsyncClient:
        return client_for(mount.build(inbox, **options), mount.prefix)

    return make_client


@pytest.fixture
async def client(make_client: MakeClient, inbox: Inbox) -> AsyncIterator[httpx.AsyncClient]:
    async with make_client(inbox) as client:
        yield client


def client_for(app: ASGIApp, prefix: str = "") -> httpx.AsyncClient:
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
