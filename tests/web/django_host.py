"""A Django application under WSGI, for servers that run in processes of their own: `tests.web.django_host:wsgi_live()`.

The user is the `x-user` header. `POST /test/send` sends that user what its JSON body says; `GET /test/state` gives the
number of streams that the hub has.
"""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

from notistore import SseHub
from notistore.sync import SyncInbox
from tests.django_project import set_up
from tests.django_project.asgi import user_of


def urls(inbox: SyncInbox, hub: SseHub, **options: Any) -> list[Any]:
    from notistore.web.django import inbox_urls

    def send(request: HttpRequest) -> HttpResponse:
        found = user_of(request)
        assert found is not None
        body = json.loads(request.body)
        inbox.send(found, body["type"], body["data"], key=body["key"])
        return HttpResponse(status=204)

    def state(request: HttpRequest) -> HttpResponse:
        return JsonResponse({"streams": hub.stats().streams})

    own = {"send": send, "state": state}
    return [
        *(path(f"test/{name}", view) for name, view in own.items()),
        path("", include(inbox_urls(inbox, user_of, **options))),
    ]


class DjangoWSGIApplication(WSGIHandler):
    """A WSGI application with a URL configuration of its own, in place of ROOT_URLCONF."""

    def __init__(self, urlpatterns: list[Any]) -> None:
        super().__init__()
        self._urls = ModuleType("urls")
        self._urls.urlpatterns = urlpatterns  # type: ignore[attr-defined]

    def get_response(self, request: Any) -> Any:
        request.urlconf = self._urls
        return super().get_response(request)


def wsgi_live() -> DjangoWSGIApplication:
    set_up()
    from notistore_django.store import SyncDjangoStore

    store = SyncDjangoStore()
    store.create_schema()
    hub = SseHub(heartbeat=1.0)  # seconds until a write shows that a client has disconnected
    return DjangoWSGIApplication(urls(SyncInbox(store, hub), hub, live=True))
