"""The blueprints in Flask and Quart: what is specific to these frameworks. Sanic is tested in a process of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flask
import httpx
import pytest
import quart
from starlette.types import ASGIApp

from notistore import Inbox, InvalidArgument, MemoryStore, Recipient, SseHub, StoreError
from notistore.sync import SyncInbox
from notistore.web.flask import inbox_blueprint as flask_blueprint
from notistore.web.quart import inbox_blueprint as quart_blueprint
from notistore.web.sanic import inbox_blueprint as sanic_blueprint

from .conftest import client_for
from .served import Served, until

ID = "0193abcd-0000-7000-8000-000000000000"


class Failing(MemoryStore):
    """Its counts raise this error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def unread_counts(self, recipients: Sequence[Recipient], **options: Any) -> Mapping[Recipient, int]:
        raise self._error


@pytest.fixture(autouse=True)
def no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Unless the test has cleared what was logged."""
    yield
    assert not [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]


@pytest.fixture
def sync_inbox(inbox: Inbox) -> Iterator[SyncInbox]:
    with SyncInbox(inbox) as sync_inbox:
        yield sync_inbox


def flask_client(*blueprints: flask.Blueprint) -> httpx.Client:
    app = flask.Flask(__name__)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test", headers={"x-user": "42"})


def quart_app(*blueprints: quart.Blueprint) -> ASGIApp:
    app = quart.Quart(__name__)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    asgi: Any = app
    return asgi


def by_header(get: Callable[[str], str | None]) -> Recipient | None:
    user = get("x-user")
    return None if user is None else Recipient(user)


# Flask


def test_flasks_streams_poll_unless_they_are_live(sync_inbox: SyncInbox) -> None:
    with flask_client(flask_blueprint(sync_inbox, lambda: by_header(flask.request.headers.get))) as client:
        answer = client.get("/notifications/stream")
    assert "retry: 30000\n" in answer.text
    assert answer.headers["content-type"] == "text/event-stream"


def test_no_recipient_or_an_invalid_one_is_401_in_flask(sync_inbox: SyncInbox) -> None:
    with flask_client(flask_blueprint(sync_inbox, lambda: by_header(flask.request.headers.get))) as client:
        assert client.get("/notifications", headers={"x-user": "u" * 200}).status_code == 401
        del client.headers["x-user"]
        assert client.get("/notifications").status_code == 401
        assert client.get("/notifications/notistore-inbox.js").status_code == 200


@pytest.mark.parametrize("path", ["/notifications/", "/notifications/unread/", "/notifications/unread/count/"])
def test_flask_redirects_nothing(sync_inbox: SyncInbox, path: str) -> None:
    with flask_client(flask_blueprint(sync_inbox, lambda: Recipient("42"))) as client:
        assert client.get(path).status_code == 200
        assert client.get(f"/{path}").status_code == 404


def test_a_part_of_flasks_path_is_the_recipients_functions(sync_inbox: SyncInbox) -> None:
    def recipient() -> Recipient:
        assert flask.request.view_args is not None
        return Recipient("42", tenant=flask.request.view_args["tenant"])

    sync_inbox.send(Recipient("42", tenant="acme"), "t")
    blueprint = flask_blueprint(sync_inbox, recipient, path="/<tenant>/notifications")
    with flask_client(blueprint) as client:
        assert client.get("/acme/notifications/unread/count").json() == {"count": 1}
        assert client.post(f"/acme/notifications/{ID}/read").status_code == 404


def test_flask_takes_two_blueprints_of_different_names(sync_inbox: SyncInbox) -> None:
    with (
        SyncInbox(Inbox(MemoryStore())) as other,
        flask_client(
            flask_blueprint(sync_inbox, lambda: Recipient("42")),
            flask_blueprint(other, lambda: Recipient("42"), path="/admin/notifications", name="admin"),
        ) as client,
    ):
        other.send(Recipient("42"), "t")
        assert client.get("/notifications/unread/count").json() == {"count": 0}
        assert client.get("/admin/notifications/unread/count").json() == {"count": 1}


def test_a_body_past_the_limit_is_413_in_flask(sync_inbox: SyncInbox) -> None:
    with flask_client(flask_blueprint(sync_inbox, lambda: Recipient("42"))) as client:
        assert client.patch("/notifications/read", content=b" " * (64 * 1024 + 1)).status_code == 413


# Quart


async def test_no_recipient_or_an_invalid_one_is_401_in_quart(inbox: Inbox) -> None:
    async def recipient() -> Recipient | None:
        return by_header(quart.request.headers.get)

    async with client_for(quart_app(quart_blueprint(inbox, recipient))) as client:
        assert (await client.get("/notifications", headers={"x-user": "u" * 200})).status_code == 401
        del client.headers["x-user"]
        assert (await client.get("/notifications")).status_code == 401
        assert (await client.get("/notifications/notistore-inbox.js")).status_code == 200


async def test_quart_redirects_nothing(inbox: Inbox) -> None:
    async with client_for(quart_app(quart_blueprint(inbox, lambda: Recipient("42")))) as client:
        assert (await client.get("/notifications/unread/")).status_code == 200
        assert (await client.get("/notifications//unread")).status_code == 404
        assert (await client.patch("/notifications/read", content=b" " * (64 * 1024 + 1))).status_code == 413


async def test_quarts_response_timeout_does_not_end_a_stream(
    inbox: Inbox, hub: SseHub, user: Recipient, uvicorn_server: Served
) -> None:
    app: Any = quart_app(quart_blueprint(inbox, lambda: user))
    app.config["RESPONSE_TIMEOUT"] = 0.01
    uvicorn_server.app = app
    async with uvicorn_server.stream("/notifications/stream") as stream:
        await stream.frame()
        await asyncio.sleep(0.1)  # ten times RESPONSE_TIMEOUT
        await inbox.send(user, "t")
        assert b'"type":"t"' in await stream.frame()
    await until(lambda: hub.stats().streams == 0)


async def test_a_stream_whose_count_raises_is_500_in_quart(
    uvicorn_server: Served, caplog: pytest.LogCaptureFixture
) -> None:
    hub = SseHub()
    app: Any = quart_app(quart_blueprint(Inbox(Failing(RuntimeError("a bug")), hub), lambda: Recipient("42")))
    uvicorn_server.app = app
    async with uvicorn_server.stream("/notifications/stream") as stream:
        assert stream.status == 500
    await until(lambda: hub.stats().streams == 0)
    assert "a bug" in caplog.text
    caplog.clear()


async def test_a_stream_while_the_store_fails_ends_with_a_retry_in_quart(
    uvicorn_server: Served, caplog: pytest.LogCaptureFixture
) -> None:
    hub = SseHub()
    uvicorn_server.app = quart_app(
        quart_blueprint(Inbox(Failing(StoreError("unreachable")), hub), lambda: Recipient("42"))
    )
    async with uvicorn_server.stream("/notifications/stream") as stream:
        assert stream.status == 200
        assert (await stream.frame()).startswith(b"retry: ")
        assert await stream.frame() == b""
    assert hub.stats().streams == 0
    caplog.clear()


async def test_a_stream_that_quart_does_not_send_ends(inbox: Inbox, hub: SseHub, uvicorn_server: Served) -> None:
    app: Any = quart_app(quart_blueprint(inbox, lambda: Recipient("42")))

    @app.after_request  # type: ignore[untyped-decorator]
    async def replace(response: quart.Response) -> quart.Response:
        return quart.Response("another one", 418)

    uvicorn_server.app = app
    async with uvicorn_server.stream("/notifications/stream") as stream:
        assert stream.status == 418
    await until(lambda: hub.stats().streams == 0)
    assert hub.stats().ended == {"left": 1}


# All of them


def test_options_are_checked_as_every_mount_checks_them(inbox: Inbox, sync_inbox: SyncInbox) -> None:
    for make in (
        lambda: flask_blueprint(sync_inbox, lambda: None, path="x"),
        lambda: quart_blueprint(inbox, lambda: None, path="x"),
        lambda: sanic_blueprint(inbox, lambda request: None, path="x"),
    ):
        with pytest.raises(InvalidArgument, match=r"^path: "):
            make()
