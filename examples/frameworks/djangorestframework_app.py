"""Django REST framework, whose authentication classes find the recipient: a session's or a bearer token's.

pip install "notistore[django]" djangorestframework uvicorn, then in this folder, and http://127.0.0.1:8000 in a
browser:

    uvicorn --lifespan off djangorestframework_app:app
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.signing import BadSignature, TimestampSigner
from django.http import FileResponse, HttpRequest
from django.urls import include
from django.urls import path as url

settings.configure(
    SECRET_KEY="of fifty characters and more, out of your environment",
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [f"{__name__}.BearerToken", f"{__name__}.Session"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from rest_framework.authentication import BaseAuthentication  # noqa: E402
from rest_framework.exceptions import AuthenticationFailed  # noqa: E402
from rest_framework.request import Request  # noqa: E402

tokens = TimestampSigner(salt="api")


@dataclass
class User:  # with django.contrib.auth: its User
    name: str
    is_authenticated: bool = True


class Session(BaseAuthentication):  # with django.contrib.auth: a SessionAuthentication whose `enforce_csrf` is empty
    def authenticate(self, request: Request) -> tuple[User, None] | None:
        user = request._request.session.get("user")
        return (User(user), None) if user else None


class BearerToken(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, str] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return User(tokens.unsign(token, max_age=3600)), token
        except BadSignature:
            raise AuthenticationFailed from None

    def authenticate_header(self, request: Request) -> Any:
        return "Bearer"


from rest_framework.decorators import api_view, permission_classes  # noqa: E402  # which loads the classes above
from rest_framework.permissions import AllowAny  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from notistore import Inbox, MemoryStore, Recipient, SseHub  # noqa: E402
from notistore.web.django import inbox_urls  # noqa: E402

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store: notistore_django's, for one


def current_recipient(request: HttpRequest) -> Recipient | None:
    """The user whom the API's authentication classes find."""
    try:
        user = Request(request, authenticators=APIView().get_authenticators()).user
    except AuthenticationFailed:
        return None
    return Recipient(user.name) if user else None


def page(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html").open("rb"))


@api_view(["POST"])
@permission_classes([AllowAny])
def login(request: Request) -> Response:
    asked: Any = request.data
    request._request.session["user"] = asked["user"]  # once you have checked the password
    return Response(status=204)


@api_view(["POST"])
def logout(request: Request) -> Response:
    request._request.session.flush()
    hub.end(Recipient(request.user.name))  # the streams that were opened with this session
    return Response(status=204)


@api_view(["POST"])
def token(request: Request) -> Response:
    return Response({"token": tokens.sign(request.user.name)})


@api_view(["POST"])
def send(request: Request) -> Response:
    asked: Any = request.data
    async_to_sync(inbox.send)(Recipient(request.user.name), asked["type"], asked["data"], key=asked["key"])
    return Response(status=204)


@api_view(["GET"])
@permission_classes([AllowAny])
def status(request: Request) -> Response:
    return Response({"streams": hub.stats().streams})


urlpatterns = [
    url("", page),
    url("login", login),
    url("logout", logout),
    url("token", token),
    url("send", send),
    url("status", status),
    url("", include(inbox_urls(inbox, current_recipient))),
]
app = get_asgi_application()
