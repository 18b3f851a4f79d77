"""Django, with its session: a site in one file.

pip install "notistore[django]" daphne uvicorn, then in this folder, and http://127.0.0.1:8000 in a browser:

    uvicorn --lifespan off django_app:app
    daphne django_app:app
"""

import json
from pathlib import Path

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.urls import include
from django.urls import path as url

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web.django import inbox_urls

settings.configure(
    SECRET_KEY="of fifty characters and more, out of your environment",
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],  # and CsrfViewMiddleware: /send has no token
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
django.setup()

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store: notistore_django's, for one


def current_recipient(request: HttpRequest) -> Recipient | None:
    user = request.session.get("user")  # with django.contrib.auth: request.user
    return Recipient(user) if user else None


def page(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html").open("rb"))


def login(request: HttpRequest) -> HttpResponse:
    request.session["user"] = json.loads(request.body)["user"]  # once you have checked the password
    return HttpResponse(status=204)


def logout(request: HttpRequest) -> HttpResponse:
    if (recipient := current_recipient(request)) is not None:
        request.session.flush()
        hub.end(recipient)  # the streams that were opened with this session
    return HttpResponse(status=204)


async def send(request: HttpRequest) -> HttpResponse:
    recipient = current_recipient(request)
    if recipient is None:
        return HttpResponse(status=401)
    asked = json.loads(request.body)
    await inbox.send(recipient, asked["type"], asked["data"], key=asked["key"])
    return HttpResponse(status=204)


def status(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"streams": hub.stats().streams})


urlpatterns = [
    url("", page),
    url("login", login),
    url("logout", logout),
    url("send", send),
    url("status", status),
    url("", include(inbox_urls(inbox, current_recipient))),
]
app = get_asgi_application()
