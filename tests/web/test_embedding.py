"""The code of docs/embedding.md: the web kit passes on it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.sync import SyncInbox
from notistore.web.core import Answer, Request, Route, WebInbox
from notistore.web.sync import SyncWebInbox
from notistore_conformance import Outcome, check_web

from .served import until

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"
USER = Recipient("42")
ID = "0193abcd-0000-7000-8000-000000000000"


async def test_the_code_of_the_page_conforms() -> None:
    names: dict[str, Any] = {}
    [glue] = re.findall(r"```python\n(from aiohttp.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(glue, names)
    hub = SseHub()
    inbox = Inbox(MemoryStore(), hub)

    def user_of(request: web.Request) -> Recipient | None:
        return Recipient(request.headers["x-user"]) if "x-user" in request.headers else None

    async def send(request: web.Request) -> web.Response:
        found = user_of(request)
        assert found is not None
        body = await request.json()
        await inbox.send(found, body["type"], body["data"], key=body["key"])
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([*names["inbox_routes"](inbox, user_of, close_on_signals=False), web.post("/test/send", send)])
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        [address] = runner.addresses
        url = f"http://127.0.0.1:{address[1]}"
        report = await check_web(url, [{"x-user": "42"}, {"x-user": "43"}], send="/test/send")
        assert report.conforms, str(report)
        assert {result.outcome for result in report.results} == {Outcome.PASSED}
        await until(lambda: hub.stats().streams == 0)  # leaving is noticed
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", ["/notifications", "/v1/bell"])
def test_match_finds_the_route_and_the_id(path: str, slash: str) -> None:
    mount = WebInbox(Inbox(MemoryStore()), path=path)
    for route in mount.routes:
        id = ID if "{id}" in route.path else ""
        assert mount.match(route.method, route.path.replace("{id}", ID) + slash) == (route, id)
        if route.method == "GET":
            assert mount.match("HEAD", route.path + slash) == (route, "")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 404),
        ("GET", "/", 404),
        ("GET", "/other", 404),
        ("GET", "/notifications//", 404),
        ("GET", "/notificationsx", 404),
        ("GET", "/notifications/unread/count/x", 404),
        ("POST", f"/notifications/{ID}/other", 404),
        ("POST", "/notifications//read", 404),
        ("GET", f"/notifications/{ID}", 405),
        ("POST", "/notifications", 405),
        ("HEAD", "/notifications/read-all", 405),
        ("PATCH", f"/notifications/{ID}/read", 405),
    ],
)
def test_match_gives_the_response_for_unknown_routes(method: str, path: str, status: int) -> None:
    answer = WebInbox(Inbox(MemoryStore())).match(method, path)
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert ("allow" in answer.headers) is (status == 405)


@pytest.mark.parametrize("wrong", ["ada@example.com", 42, ("42", None)], ids=["str", "int", "tuple"])
def test_a_recipient_of_another_type_raises_without_its_value(wrong: Any) -> None:
    with SyncInbox(Inbox(MemoryStore())) as inbox:
        mount = SyncWebInbox(inbox)
        for route in mount.routes:
            with pytest.raises(TypeError, match=f"{type(wrong).__name__}, expected a Recipient or None") as raised:
                mount.answer(route, wrong, Request(route.method, id=ID))
            assert "ada" not in str(raised.value)


def never(size: int) -> bytes:
    raise AssertionError("the body was read")


@pytest.mark.parametrize("blocking", [True, False])
async def test_the_body_of_a_request_that_is_refused_is_not_read(blocking: bool) -> None:
    for headers, recipient, status in (
        ({}, None, 401),
        ({"sec-fetch-site": "cross-site"}, USER, 403),
        ({"sec-fetch-site": "same-origin,cross-site"}, USER, 403),  # of two headers that a server has joined
    ):
        answer = await patch(Request("PATCH", headers=headers, body=never), recipient, blocking=blocking)
        assert answer.status == status


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_body_that_is_declared_too_large_is_413_although_it_cannot_be_read(blocking: bool) -> None:
    request = Request("PATCH", headers={"content-length": "65537"}, body=never)
    assert (await patch(request, USER, blocking=blocking)).status == 413


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("error", [OSError, EOFError, ValueError], ids=str)
async def test_a_body_that_cannot_be_read_is_400(error: type[Exception], blocking: bool) -> None:
    def read(size: int) -> bytes:
        raise error("whatever the server raises")

    answer = await patch(Request("PATCH", body=read), USER, blocking=blocking)
    assert (answer.status, json.loads(answer.body)["field"]) == (400, "body")


async def test_a_frameworks_lower_limit_is_413() -> None:
    class TooLarge(Exception):
        status_code = 413

    async def read() -> AsyncIterator[bytes]:
        yield b"{"
        raise TooLarge

    assert (await patch(Request("PATCH", body=read()), USER, blocking=False)).status == 413


async def patch(request: Request, recipient: Recipient | None, *, blocking: bool) -> Answer:
    """The answer to `PATCH /notifications/read`."""
    inbox = Inbox(MemoryStore())
    if blocking:
        with SyncInbox(inbox) as blocked:
            mount = SyncWebInbox(blocked)
            answer: Any = mount.answer(reading(mount), recipient, request)
    else:
        web_inbox = WebInbox(inbox)
        answer = await web_inbox.answer(reading(web_inbox), recipient, request)
    assert isinstance(answer, Answer)
    return answer


def reading(mount: WebInbox | SyncWebInbox) -> Route:
    [route] = [route for route in mount.routes if route.reads_body]
    return route
