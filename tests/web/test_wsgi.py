"""The WSGI mount, on the servers people run and on its own."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import flask
import httpx
import pytest

from notistore import Inbox, InvalidArgument, MemoryStore, Recipient, SseHub, StoreError
from notistore.sync import SyncInbox
from notistore.web.flask import inbox_blueprint
from notistore.web.wsgi import inbox_wsgi
from notistore_conformance import Outcome, check_web
from notistore_sqlite import SyncSQLiteStore
from tests.django_project import set_up
from tools.web_servers import Running, running

from . import django_host
from .wsgi_host import user_of

HOST = "tests.web.wsgi_host"
DJANGO = "tests.web.django_host"
GUNICORN = ["gunicorn", "--bind=127.0.0.1:{port}", "--log-level=warning", "--no-control-socket"]
POLLING = {
    "gunicorn sync": [*GUNICORN, "--worker-class=sync", f"{HOST}:polling()"],
    "gunicorn gevent": [*GUNICORN, "--worker-class=gevent", f"{HOST}:polling_over_async()"],
    "waitress": ["waitress", "--listen=127.0.0.1:{port}", "--call", f"{HOST}:polling"],
}
LIVE = {
    "gunicorn gthread": [*GUNICORN, "--worker-class=gthread", "--threads=64", f"{HOST}:live()"],
    "gunicorn gthread, async store": [*GUNICORN, "--worker-class=gthread", "--threads=64", f"{HOST}:live_over_async()"],
    "gunicorn gthread, django": [*GUNICORN, "--worker-class=gthread", "--threads=64", f"{DJANGO}:wsgi_live()"],
    "gunicorn gevent": [*GUNICORN, "--worker-class=gevent", f"{HOST}:live()"],
    "gunicorn gevent, async store": [*GUNICORN, "--worker-class=gevent", f"{HOST}:live_over_async()"],
    "waitress": ["waitress", "--listen=127.0.0.1:{port}", "--threads=64", "--call", f"{HOST}:live"],
}
USERS = [{"x-user": "42"}, {"x-user": "43"}]
ID = "0193abcd-0000-7000-8000-000000000000"


# On servers


@pytest.mark.parametrize("name", POLLING)
async def test_polling_it_conforms_partially(name: str) -> None:
    async with running(POLLING[name]) as server:
        report = await check_web(f"http://127.0.0.1:{server.port}", USERS, send="/test/send")
        assert report.conforms, f"{report}\n{server.log}"
    unsupported = {result.id for result in report.results if result.outcome is Outcome.UNSUPPORTED}
    assert {"web/stream-item", "web/stream-marks"} <= unsupported
    assert all(id.startswith("web/stream-") for id in unsupported)


@pytest.mark.parametrize("name", LIVE)
async def test_live_it_conforms(name: str) -> None:
    async with running(LIVE[name]) as server:
        report = await check_web(f"http://127.0.0.1:{server.port}", USERS, send="/test/send")
        assert report.conforms, f"{report}\n{server.log}"
    assert {result.outcome for result in report.results} == {Outcome.PASSED}


@asynccontextmanager
async def open_stream(server: Running) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /notifications/stream HTTP/1.1\r\nhost: test\r\nx-user: 42\r\n\r\n")
    async with asyncio.timeout(60):
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"\n\n")
    yield reader
    writer.close()


@pytest.mark.parametrize("name", [name for name in LIVE if name.startswith("gunicorn")])
async def test_sigterm_ends_its_streams_and_then_the_server(name: str) -> None:
    """Without the hub's end gunicorn would wait for its graceful timeout, thirty seconds."""
    async with running(LIVE[name]) as server, open_stream(server) as stream, open_stream(server) as other:
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert (await stream.read()).endswith(b"0\r\n\r\n"), "the stream was torn, not ended"
            assert (await other.read()).endswith(b"0\r\n\r\n")
            await server.process.wait()


@pytest.mark.parametrize("name", LIVE)
async def test_a_client_that_leaves_is_noticed_at_the_next_event(name: str) -> None:
    async with running(LIVE[name]) as server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        async with open_stream(server):
            assert (await client.get("/test/state")).json() == {"streams": 1}
        async with asyncio.timeout(60):
            while (await client.get("/test/state")).json()["streams"]:
                sent = {"type": "t", "data": {}, "key": None}
                await client.post("/test/send", json=sent, headers={"x-user": "42"})


# On its own


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[SyncInbox]:
    store = SyncSQLiteStore(tmp_path / "inbox.db")
    store.create_schema()
    with SyncInbox(store, SseHub()) as inbox:
        yield inbox
    store.close()


def client_for(app: Any) -> httpx.Client:
    return httpx.Client(transport=httpx.WSGITransport(validator(app)), base_url="http://test", headers={"x-user": "42"})


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/notifications"),
        ("HEAD", "/notifications"),
        ("GET", "/notifications/unread/count"),
        ("GET", "/notifications/notistore-inbox.js"),
        ("HEAD", "/notifications/stream"),
        ("PATCH", "/notifications/read"),
        ("POST", "/notifications/read-all"),
        ("DELETE", f"/notifications/{ID}"),
        ("GET", "/notifications/%E2%82%AC%FF"),
        ("GET", "/elsewhere"),
        ("PUT", "/notifications"),
    ],
)
def test_it_is_a_wsgi_app_by_the_standard_librarys_validator(
    inbox: SyncInbox, method: str, path: str, live: bool
) -> None:
    with client_for(inbox_wsgi(inbox, user_of, live=live)) as client:
        answer = client.request(method, path, json={"ids": []} if method == "PATCH" else None)
    assert answer.status_code < 500
    assert method != "HEAD" or not answer.content


def test_a_live_stream_ends_with_its_hub_and_frees_its_place(inbox: SyncInbox) -> None:
    hub = inbox._inbox.hub
    assert hub is not None
    app = inbox_wsgi(inbox, user_of, live=True, close_on_signals=False)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/notifications/stream", "HTTP_X_USER": "42"}
    frames: Any = app(environ, lambda status, headers, exc=None: print)
    assert b'{"count":0}' in next(frames)
    inbox.send(Recipient("42"), "t")
    assert next(frames).startswith(b"event: notification\n")
    assert hub.stats().streams == 1
    frames.close()  # as a server does when the client has left
    assert hub.stats().streams == 0

    frames = app(environ, lambda status, headers, exc=None: print)
    next(frames)
    hub.close()
    assert list(frames) == []
    assert hub.stats().ended == {"left": 1, "closed": 1}


def test_polling_needs_no_thread_and_no_event_loop(inbox: SyncInbox) -> None:
    before = set(threading.enumerate())
    with client_for(inbox_wsgi(inbox, user_of)) as client:
        answer = client.get("/notifications/stream", headers={"last-event-id": "1"})
    assert answer.headers["content-type"] == "text/event-stream"
    assert b"retry: 30000\n" in answer.content
    assert answer.content.endswith(b"event: notification\ndata:\n\n")
    assert "notistore-sync" not in {thread.name for thread in set(threading.enumerate()) - before}


def test_no_recipient_or_an_invalid_one_is_401(inbox: SyncInbox) -> None:
    with client_for(inbox_wsgi(inbox, user_of)) as client:
        assert client.get("/notifications", headers={"x-user": "u" * 200}).status_code == 401
        del client.headers["x-user"]
        assert client.get("/notifications").status_code == 401
        assert client.get("/notifications/notistore-inbox.js").status_code == 200


@pytest.mark.parametrize(
    ("terminated", "length"),
    [(True, ""), (False, str(10**9)), (False, "1" * 30)],
    ids=["chunked", "declared", "absurd"],
)
def test_an_endless_body_is_not_read_to_its_end(inbox: SyncInbox, terminated: bool, length: str) -> None:
    class Endless:
        read_bytes = 0

        def read(self, size: int) -> bytes:
            self.read_bytes += size
            return b" " * size

    body = Endless()
    environ = {
        "REQUEST_METHOD": "PATCH",
        "PATH_INFO": "/notifications/read",
        "HTTP_X_USER": "42",
        "CONTENT_LENGTH": length,
        "wsgi.input_terminated": terminated,
        "wsgi.input": body,
    }
    started: list[str] = []
    inbox_wsgi(inbox, user_of)(environ, lambda status, *_: started.append(status))
    assert started[0].startswith("413 ")
    assert body.read_bytes <= 2 * 1024 * 1024


def test_the_rest_of_a_body_that_is_too_large_is_read(inbox: SyncInbox) -> None:
    """Otherwise the server resets the connection, and the client never sees the answer."""
    body = BytesIO(b" " * 100_000 + b"the next request")
    environ = {
        "REQUEST_METHOD": "PATCH",
        "PATH_INFO": "/notifications/read",
        "HTTP_X_USER": "42",
        "CONTENT_LENGTH": "100000",
        "wsgi.input": body,
    }
    started: list[str] = []
    inbox_wsgi(inbox, user_of)(environ, lambda status, *_: started.append(status))
    assert started[0].startswith("413 ")
    assert body.read() == b"the next request"


def wsgi_app(inbox: SyncInbox, live: bool) -> Any:
    return inbox_wsgi(inbox, user_of, live=live)


def flask_app(inbox: SyncInbox, live: bool) -> Any:
    app = flask.Flask(__name__)
    app.register_blueprint(inbox_blueprint(inbox, lambda: user_of(flask.request.environ), live=live))
    return app


def django_app(inbox: SyncInbox, live: bool) -> Any:
    set_up()
    return django_host.DjangoWSGIApplication(django_host.urls(inbox, SseHub(), live=live))


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("make", [wsgi_app, flask_app, django_app])
@pytest.mark.parametrize(
    ("method", "path", "user", "status"),
    [
        ("GET", "/notistore-inbox.js", None, "200"),
        ("GET", "/unread/count", "42", "200"),
        ("PATCH", "/read", None, "401"),
        ("POST", "/read-all", "42", "204"),
        ("PATCH", "/no/such", "42", "404"),
    ],
)
def test_no_thread_waits_for_a_body_that_is_not_needed(
    inbox: SyncInbox, make: Any, live: bool, method: str, path: str, user: str | None, status: str
) -> None:
    class Never:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("a server would wait for the client")

        readline = read

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": f"/notifications{path}", "QUERY_STRING": ""}
    environ |= {"CONTENT_LENGTH": "1", "wsgi.input": Never()}
    if user is not None:
        environ["HTTP_X_USER"] = user
    started: list[str] = []
    make(inbox, live)(environ, lambda status, *_: started.append(status))
    assert started[0].startswith(status)


def test_a_store_that_fails_is_503(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(MemoryStore):
        async def unread_count(self, *args: Any, **options: Any) -> int:
            raise StoreError("secret words")

    with SyncInbox(Inbox(Failing())) as inbox, client_for(inbox_wsgi(inbox, user_of)) as client:
        assert client.get("/notifications/unread/count").status_code == 503
        assert client.get("/notifications/stream").text.startswith("retry: ")


@pytest.mark.parametrize("options", [{"path": "x"}, {"trusted_origins": "https://app.example.com"}], ids=str)
def test_options_are_checked_as_every_mount_checks_them(inbox: SyncInbox, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=rf"^{next(iter(options))}: "):
        inbox_wsgi(inbox, user_of, **options)
