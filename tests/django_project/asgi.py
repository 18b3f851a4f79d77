"""A Django application under ASGI with given routes, for tests that run against every framework."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.urls import include, path

from notistore import Inbox, Recipient

from . import set_up


def user_of(request: HttpRequest) -> Recipient | None:
    """The user that a header names: this application trusts it."""
    id = request.headers.get("x-user")
    return None if id is None else Recipient(id, tenant=request.headers.get("x-tenant"))


class DjangoApplication(ASGIHandler):
    """An ASGI application with a URL configuration of its own, in place of ROOT_URLCONF."""

    def __init__(self, urls: list[Any]) -> None:
        super().__init__()
        self._urls = ModuleType("urls")
        self._urls.urlpatterns = urls  # type: ignore[attr-defined]

    def create_request(self, *args: Any) -> Any:
        request, error = super().create_request(*args)
        request.urlconf = self._urls
        return request, error


def inbox_application(inbox: Inbox, **options: Any) -> DjangoApplication:
    """A Django application with the inbox's routes under /api."""
    set_up()
    from notistore.web.django import inbox_urls

    return DjangoApplication([path("api/", include(inbox_urls(inbox, user_of, **options)))])
