"""A Django site in one file: `pip install "notistore[django]" uvicorn`, then

python examples/with_django.py
curl --no-buffer --header "X-User: ada" localhost:8000/notifications/stream &
curl --header "X-User: ada" localhost:8000/buy
"""

import sys

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["notistore_django"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "with_django.db",
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode = WAL"},
        }
    },
    USE_TZ=True,
)
django.setup()

from notistore import Inbox, Recipient, SseHub  # noqa: E402
from notistore.sync import SyncInbox  # noqa: E402
from notistore.web.django import inbox_urls  # noqa: E402
from notistore_django import DjangoStore, SyncDjangoStore  # noqa: E402

hub = SseHub()
inbox = Inbox(DjangoStore(), hub)  # for async views
blocking = SyncInbox(SyncDjangoStore(), hub).bind(None)  # for synchronous ones: it publishes after the commit


def recipient_of(request: HttpRequest) -> Recipient | None:
    user = request.headers.get("x-user")  # with sessions: request.user
    return Recipient(user) if user else None


def buy(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():  # the order and its notification, both or neither
        sent = blocking.send(recipient_of(request) or Recipient("guest"), "order.paid", {"title": "Thank you"})
    return HttpResponse(f"notification {sent.id}\n")


urlpatterns = [path("buy", buy), path("", include(inbox_urls(inbox, recipient_of)))]
app = get_asgi_application()

if __name__ == "__main__":
    import uvicorn

    call_command("migrate")
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
