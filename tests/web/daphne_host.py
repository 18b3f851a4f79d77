"""Two applications for daphne: `tests.web.daphne_host:starlette` and `:django`, each with an inbox.

`POST /test/publish` gives every open stream 60 KB; `GET /test/state` gives the number of streams and why others ended.
"""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from notistore import Inbox, MemoryStore, SseHub
from notistore.hub.events import Event
from notistore.web import inbox_app
from tests.django_project import set_up
from tests.django_project.asgi import DjangoApplication
from tests.django_project.asgi import user_of as django_user_of

from .mounts import user_of

set_up()

from notistore.web.django import inbox_urls  # noqa: E402 - needs Django's settings

hub = SseHub(heartbeat=None, lifetime=None, backlog=2**26)
inbox = Inbox(MemoryStore(), hub)


def publish() -> None:
    hub.broadcast(Event("filler", "x" * 60_000))


def state() -> str:
    return json.dumps({"streams": hub.stats().streams, "ended": hub.stats().ended})


async def starlette_publish(request: Request) -> Response:
    publish()
    return Response()


async def starlette_state(request: Request) -> Response:
    return Response(state())


async def django_publish(request: HttpRequest) -> HttpResponse:
    publish()
    return HttpResponse()


async def django_state(request: HttpRequest) -> HttpResponse:
    return HttpResponse(state())


starlette = Starlette(
    routes=[
        Route("/test/publish", starlette_publish, methods=["POST"]),
        Route("/test/state", starlette_state),
        Mount("/", inbox_app(inbox, user_of)),
    ]
)
urls: list[Any] = [
    path("test/publish", django_publish),
    path("test/state", django_state),
    path("", include(inbox_urls(inbox, django_user_of))),
]
django = DjangoApplication(urls)
