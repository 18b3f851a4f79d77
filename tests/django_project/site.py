"""A Django site under ASGI with the routes it is given, for tests that hold one promise against many frameworks."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.urls import include, path

from notistore import Inbox, Recipient

from . import set_up


def user_of(request: HttpRequest) -> Recipient | None:
    """Whoever the request says it is: this site trusts a header."""
    id = request.headers.get("x-user")
    return None if id is None else Recipient(id, tenant=request.headers.get("x-tenant"))


class Site(ASGIHandler):
    def __init__(self, urls: list[Any]) -> None:
        super().__init__()
        self._urls = ModuleType("urls")
        self._urls.urlpatterns = urls  # type: ignore[attr-defined]

    def create_request(self, *args: Any) -> Any:
        request, error = super().create_request(*args)
        request.urlconf = self._urls
        return request, error


def inbox_site(inbox: Inbox, **options: Any) -> Site:
    """Its routes begin at /api."""
    set_up()
    from notistore.web.django import inbox_urls

    return Site([path("api/", include(inbox_urls(inbox, user_of, **options)))])
