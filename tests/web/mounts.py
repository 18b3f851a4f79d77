"""The mounts that every promise of the wire is held against, each in a host of its own."""

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
from tests.django_project.site import inbox_site

Build: TypeAlias = Callable[..., ASGIApp]


def user_of(request: Request) -> Recipient | None:
    """Whoever the request says it is: these hosts trust a header."""
    id = request.headers.get("x-user")
    return None if id is None else Recipient(id, tenant=request.headers.get("x-tenant"))


async def user_of_later(request: Request) -> Recipient | None:
    return user_of(request)


def standalone(inbox: Inbox, **options: Any) -> ASGIApp:
    return inbox_app(inbox, user_of, **options)


def mounted(inbox: Inbox, **options: Any) -> ASGIApp:
    return Starlette(routes=[StarletteMount("/api", inbox_app(inbox, user_of_later, **options))])


def routed(inbox: Inbox, **options: Any) -> ASGIApp:
    app = FastAPI()
    app.include_router(inbox_router(inbox, user_of_later, **options), prefix="/api")
    return app


@dataclass(frozen=True)
class Mount:
    """How an inbox gets into a host, and what its paths begin with there."""

    build: Build
    prefix: str


MOUNTS = {
    "standalone": Mount(standalone, ""),
    "mounted": Mount(mounted, "/api"),
    "fastapi": Mount(routed, "/api"),
    "django": Mount(inbox_site, "/api"),
}
