"""The mounts that the wire tests run against, each in an application of its framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount as StarletteMount
from starlette.types import ASGIApp

from notistore import Inbox, Recipient
from notistore.web import inbox_app
from notistore.web.fastapi import inbox_router
from tests.django_project.asgi import inbox_application

Build: TypeAlias = Callable[..., ASGIApp]


def user_of(request: Request) -> Recipient | None:
    """The user that a header names: these applications trust it."""
    id = request.headers.get("x-user")
    return None if id is None else Recipient(id, tenant=request.headers.get("x-tenant"))


async def async_user_of(request: Request) -> Recipient | None:
    return user_of(request)


def standalone(inbox: Inbox, **options: Any) -> ASGIApp:
    return inbox_app(inbox, user_of, **options)


def mounted(inbox: Inbox, **options: Any) -> ASGIApp:
    return Starlette(routes=[StarletteMount("/api", inbox_app(inbox, async_user_of, **options))])


def routed(inbox: Inbox, **options: Any) -> ASGIApp:
    app = FastAPI()
    app.include_router(inbox_router(inbox, async_user_of, **options), prefix="/api")
    return app


@dataclass(frozen=True)
class Mount:
    """How an application is built around an inbox, and the prefix of the inbox's paths in it."""

    build: Build
    prefix: str


MOUNTS = {
    "standalone": Mount(standalone, ""),
    "mounted": Mount(mounted, "/api"),
    "fastapi": Mount(routed, "/api"),
    "django": Mount(inbox_application, "/api"),
}
