"""The inbox in a typical Django project: sessions, login required, a transaction for each request, ASGI and WSGI.

The promises of every framework's mount are tested in tests/web.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path

from notistore import Inbox, InvalidArgument, MemoryStore, Recipient, SseHub
from notistore.sync import SyncInbox
from notistore.web.django import inbox_urls
from notistore_django.store import DjangoStore, SyncDjangoStore
from tests.django_project import databases, server
from tests.django_project.asgi import DjangoApplication, user_of
from tests.web.served import Served, serving, until

ADA = Recipient("ada")


def user_of_session(request: HttpRequest) -> Recipient | None:
    return Recipient(request.user.get_username()) if request.user.is_authenticated else None


async def user_of_session_later(request: HttpRequest) -> Recipient | None:
    user = await request.auser()
    return Recipient(user.get_username()) if user.is_authenticated else None


@pytest.fixture
def hub() -> SseHub:
    return SseHub()


class Urls:
    """A value for ROOT_URLCONF: a hashable object with urlpatterns."""

    def __init__(self, *urlpatterns: Any) -> None:
        self.urlpatterns = urlpatterns


@pytest.fixture
def ada(project: None) -> Iterator[Any]:
    from django.contrib.auth.models import User

    ada = User.objects.create_user("ada")
    yield ada
    ada.delete()


@pytest.mark.parametrize("recipient", [user_of_session, user_of_session_later])
async def test_a_signed_in_user_gets_their_inbox_and_others_a_401(recipient: Any, ada: Any) -> None:
    inbox = Inbox(MemoryStore())
    await inbox.send(ADA, "t")
    with override_settings(ROOT_URLCONF=Urls(path("", include(inbox_urls(inbox, recipient))))):
        client = AsyncClient()
        assert (await client.get("/notifications")).status_code == 401
        assert (await client.get("/notifications/stream")).status_code == 401
        await client.aforce_login(ada)
        assert (await client.get("/notifications/unread/count")).json() == {"count": 1}


async def test_a_login_page_a_csrf_check_and_atomic_requests_do_not_get_before_it(
    ada: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    inbox = Inbox(MemoryStore())
    sent = await inbox.send(ADA, "t")
    middleware = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    urls = Urls(path("", include(inbox_urls(inbox, user_of_session))))
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=middleware):
        client = AsyncClient(enforce_csrf_checks=True)
        assert (await client.get("/notifications")).status_code == 401
        await client.aforce_login(ada)
        read = f"/notifications/{sent.id}/read"
        assert (await client.post(read, headers={"sec-fetch-site": "cross-site"})).status_code == 403
        assert (await client.post(read, headers={"sec-fetch-site": "same-origin"})).status_code == 204
        assert (await client.patch("/notifications/read", {"ids": [sent.id]}, "application/json")).json() == {
            "updated": 0
        }


def test_under_wsgi_a_stream_is_the_count_and_browsers_poll(hub: SseHub) -> None:
    inbox = Inbox(MemoryStore(), hub)
    SyncInbox(inbox).send(ADA, "t")
    with override_settings(ROOT_URLCONF=Urls(path("api/", include(inbox_urls(inbox, user_of))))):
        client = Client(headers={"x-user": "ada"})
        answer = client.get("/api/notifications/stream")
        assert client.get("/api/notifications/unread/count").json() == {"count": 1}
        assert client.get("/api/notifications/").status_code == 200
    assert answer["content-type"] == "text/event-stream"
    assert not answer.streaming
    assert b"retry: 30000\n" in answer.content
    assert b'data: {"count":1}\n' in answer.content
    assert hub.stats().streams == 0


def test_of_a_sync_inbox_the_views_are_sync_and_poll(hub: SseHub, alias: str) -> None:
    inbox = SyncInbox(SyncDjangoStore(alias), hub)
    inbox.send(ADA, "t")
    for live in (False, True):
        urls = Urls(path("api/", include(inbox_urls(inbox, user_of, live=live))))
        assert not any(iscoroutinefunction(pattern.callback) for pattern in urls.urlpatterns[0].url_patterns)
        with override_settings(ROOT_URLCONF=urls):
            client = Client(headers={"x-user": "ada"})
            assert client.get("/api/notifications/unread/count").json() == {"count": 1}
            answer = client.get("/api/notifications/stream")
            assert answer.streaming is live
            assert b'data: {"count":1}\n' in (next(answer.streaming_content) if live else answer.content)
            answer.close()
    assert hub.stats().streams == 0


async def test_of_a_sync_inbox_a_stream_polls_under_asgi(hub: SseHub, alias: str) -> None:
    inbox = SyncInbox(SyncDjangoStore(alias), hub)
    with override_settings(ROOT_URLCONF=Urls(path("", include(inbox_urls(inbox, user_of, live=True))))):
        answer = await AsyncClient().get("/notifications/stream", headers={"x-user": "ada"})
    assert not answer.streaming
    assert b"retry: 30000\n" in answer.content


def test_an_async_function_for_the_recipient_of_a_sync_inbox_is_refused(hub: SseHub, alias: str) -> None:
    inbox = SyncInbox(SyncDjangoStore(alias), hub)
    with pytest.raises(InvalidArgument, match=r"^recipient: "):
        inbox_urls(inbox, user_of_session_later)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as served:
        yield served


async def test_a_view_publishes_once_its_transaction_has_committed(alias: str, hub: SseHub, served: Served) -> None:
    blocking = SyncInbox(SyncDjangoStore(alias), hub).bind(None)
    steps: list[str] = []

    def order(request: HttpRequest) -> HttpResponse:
        with transaction.atomic(alias):
            sent = blocking.send(user_of(request), "order.paid")
            steps.append("sent")
        steps.append("committed")
        return HttpResponse(sent.id)

    def refuse(request: HttpRequest) -> HttpResponse:
        with transaction.atomic(alias):
            blocking.send(user_of(request), "order.refused")
            transaction.set_rollback(True, alias)
        return HttpResponse()

    user = Recipient(f"{alias}")
    inbox = Inbox(DjangoStore(alias), hub)
    served.app = DjangoApplication(
        [path("", include(inbox_urls(inbox, user_of))), path("order", order), path("refuse", refuse)]
    )
    async with (
        served.stream("/notifications/stream", x_user=user.id) as stream,
        httpx.AsyncClient(base_url=served.url, headers={"x-user": user.id}) as client,
    ):
        assert b'data: {"count":0}' in await stream.frame()
        await client.get("/refuse")
        id = (await client.get("/order")).text
        item = json.loads((await stream.frame()).partition(b"data: ")[2])
        assert (item["id"], item["type"]) == (id, "order.paid")
        assert (await client.get("/notifications")).json()["items"] == [item]
        await client.post(f"/notifications/{id}/read")
        assert json.loads((await stream.frame()).partition(b"data: ")[2])["notificationId"] == id


async def test_a_stream_is_not_compressed(hub: SseHub, served: Served) -> None:
    inbox = Inbox(MemoryStore(), hub)
    with override_settings(MIDDLEWARE=["django.middleware.gzip.GZipMiddleware"]):
        served.app = DjangoApplication([path("", include(inbox_urls(inbox, user_of)))])
    async with served.stream("/notifications/stream", x_user="ada", accept_encoding="gzip") as stream:
        assert b'data: {"count":0}\n' in await stream.frame()
        await inbox.send(ADA, "t")
        assert b"event: notification\n" in await stream.frame()
    assert "content-encoding" not in stream.headers


class Broken(MemoryStore):
    async def unread_count(self, *args: Any, **options: Any) -> int:
        raise RuntimeError("a bug of the store")


class SyncMiddleware:
    """Django runs the view of a stream in a task of its own, and sends the body from another."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = self.get_response(request)
        return response


class Replacing(SyncMiddleware):
    def __call__(self, request: HttpRequest) -> HttpResponse:
        super().__call__(request)
        return HttpResponse("another one", status=418)


def application(inbox: Inbox, middleware: type[SyncMiddleware]) -> DjangoApplication:
    with override_settings(MIDDLEWARE=[f"{__name__}.{middleware.__name__}"]):
        return DjangoApplication([path("", include(inbox_urls(inbox, user_of)))])


async def test_a_stream_whose_count_raises_is_500(
    hub: SseHub, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.app = DjangoApplication([path("", include(inbox_urls(Inbox(Broken(), hub), user_of)))])
    async with served.stream("/notifications/stream", x_user="ada") as stream:
        assert stream.status == 500
    await until(lambda: hub.stats().streams == 0)
    assert "a bug of the store" in caplog.text
    caplog.clear()


def test_an_open_stream_whose_count_raises_is_500_under_wsgi(caplog: pytest.LogCaptureFixture) -> None:
    hub = SseHub()
    with SyncInbox(Inbox(Broken(), hub)) as inbox:
        urls = Urls(path("", include(inbox_urls(inbox, user_of, live=True))))
        with override_settings(ROOT_URLCONF=urls):
            answer = Client(raise_request_exception=False).get("/notifications/stream", headers={"x-user": "ada"})
        assert (answer.status_code, answer.streaming, hub.stats().streams) == (500, False, 0)
    caplog.clear()


async def test_a_stream_behind_synchronous_middleware_lasts(hub: SseHub, served: Served) -> None:
    inbox = Inbox(MemoryStore(), hub)
    served.app = application(inbox, SyncMiddleware)
    async with served.stream("/notifications/stream", x_user="ada") as stream:
        await stream.frame()
        await inbox.send(ADA, "t")
        assert b"event: notification\n" in await stream.frame()
    await until(lambda: hub.stats().streams == 0)


async def test_a_stream_that_middleware_replaces_ends(hub: SseHub, served: Served) -> None:
    served.app = application(Inbox(MemoryStore(), hub), Replacing)
    async with served.stream("/notifications/stream", x_user="ada") as stream:
        assert stream.status == 418
    await until(lambda: hub.stats().streams == 0)


async def test_an_open_stream_holds_no_connection(postgres_url: str, hub: SseHub, served: Served) -> None:
    entry = server(postgres_url)
    with databases(watch=entry, streams=entry | {"OPTIONS": {"application_name": "streams"}}):
        await DjangoStore("streams").create_schema()
        await sync_to_async(connections.close_all)()
        served.app = DjangoApplication([path("", include(inbox_urls(Inbox(DjangoStore("streams"), hub), user_of)))])
        async with served.stream("/notifications/stream", x_user="ada") as stream:
            await stream.frame()
            assert hub.stats().streams == 1
            assert await sync_to_async(count_connections)() == 0


def count_connections() -> int:
    with connections["watch"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'streams'")
        [count] = cursor.fetchone()
    return count
