"""django-eventstream on Django's ASGI handler, without storage."""

from __future__ import annotations

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="-",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_eventstream"],
    USE_TZ=True,
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django_eventstream import send_event  # noqa: E402
from django_eventstream.views import events as stream  # noqa: E402

from . import PAYLOAD  # noqa: E402


async def publish(request: HttpRequest) -> HttpResponse:
    first, keys, events = (int(request.GET[name]) for name in ("first", "keys", "events"))
    for key in range(first, first + keys):
        for _ in range(events):
            send_event(str(key), "notification", PAYLOAD)
    return HttpResponse(status=204)


urlpatterns = [path("stream", stream), path("publish", publish)]
app = get_asgi_application()
