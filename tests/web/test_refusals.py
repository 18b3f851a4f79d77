"""Requests that are refused, and what an error response must not contain."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from notistore import Inbox, InvalidArgument, MemoryStore, Recipient, SseHub, StoreError
from notistore.web import inbox_app
from notistore.web.fastapi import inbox_router

from .conftest import MakeClient
from .mounts import MOUNTS, Mount

ID = "0193abcd-0000-7000-8000-000000000000"
SAFE = [
    ("GET", "/notifications"),
    ("GET", "/notifications?limit=5"),
    ("GET", "/notifications/unread"),
    ("GET", "/notifications/unread/count"),
]
UNSAFE = [
    ("PATCH", "/notifications/read"),
    ("POST", "/notifications/read-all"),
    ("POST", f"/notifications/{ID}/read"),
    ("POST", f"/notifications/{ID}/unread"),
    ("DELETE", f"/notifications/{ID}"),
]
STREAM = ("GET", "/notifications/stream")


def assert_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "private, no-cache"
    problem = answer.json()
    assert problem.keys() - {"field"} == {"title", "status", "detail"}
    assert problem["status"] == status


async def ask(client: httpx.AsyncClient, method: str, path: str, **headers: str) -> httpx.Response:
    body = {"ids": [ID]} if method == "PATCH" else None
    return await client.request(
        method, path, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.mark.parametrize(("method", "path"), [*SAFE, *UNSAFE, STREAM])
async def test_without_a_recipient_a_request_is_401(
    client: httpx.AsyncClient, inbox: Inbox, method: str, path: str
) -> None:
    del client.headers["x-user"]
    assert_problem(await ask(client, method, path), 401)
    for no_recipient in ("", "4" * 129, "4\x1f2"):
        assert_problem(await ask(client, method, path, x_user=no_recipient), 401)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site", "origin": "http://test"},  # Sec-Fetch-Site takes precedence over Origin
        {"origin": "https://evil.example"},
        {"origin": "http://test.evil.example"},
        {"origin": "http://test:8080"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://["},
    ],
    ids=str,
)
async def test_an_unsafe_request_from_another_site_is_403_and_changes_nothing(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient, method: str, headers: dict[str, str]
) -> None:
    await inbox.send(user, "t")
    for unsafe, path in UNSAFE:
        if unsafe == method:
            assert_problem(await ask(client, method, path, **headers), 403)
    assert await inbox.unread_count(user) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "same-site", "origin": "https://other.test"},
        {"sec_fetch_site": "none"},
        {"origin": "http://test"},
    ],
    ids=str,
)
async def test_an_unsafe_request_from_the_same_site_or_no_page_is_served(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient, headers: dict[str, str]
) -> None:
    await inbox.send(user, "t")
    assert (await ask(client, "POST", "/notifications/read-all", **headers)).status_code == 204
    assert await inbox.unread_count(user) == 0


async def test_a_trusted_origin_may_send_cross_site(make_client: MakeClient, inbox: Inbox) -> None:
    async with make_client(inbox, trusted_origins=["https://app.example.com"]) as client:
        for origin, status in (("https://app.example.com", 204), ("https://app.example.co", 403)):
            for site in ({}, {"sec_fetch_site": "cross-site"}):
                answer = await ask(client, "POST", "/notifications/read-all", origin=origin, **site)
                assert answer.status_code == status


@pytest.mark.parametrize(("method", "path"), SAFE)
async def test_a_safe_request_may_come_from_anywhere(client: httpx.AsyncClient, method: str, path: str) -> None:
    headers = {"sec_fetch_site": "cross-site", "origin": "https://evil.example"}
    assert (await ask(client, method, path, **headers)).status_code == 200


@pytest.mark.parametrize(
    "origins",
    ["https://app.example.com", ["app.example.com"], ["https://app.example.com/"], ["*"], ["https://App.example.com"]],
    ids=str,
)
def test_an_origin_that_no_header_can_equal_is_refused_when_mounted(
    make_client: MakeClient, inbox: Inbox, origins: Any
) -> None:
    with pytest.raises(InvalidArgument, match=r"^trusted_origins: "):
        make_client(inbox, trusted_origins=origins)


async def test_a_body_over_64_kib_is_413_unread_when_declared(mount: Mount, client: httpx.AsyncClient) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b" " * (64 * 1024 + 1)

    declared = {"content-length": str(64 * 1024 + 1)}
    answer = await client.patch("/notifications/read", content=body(), headers=declared)
    assert_problem(answer, 413)
    assert answer.json()["field"] == "body"
    assert read is (mount is MOUNTS["django"])


async def test_a_body_over_64_kib_is_413_before_all_of_it_is_read(mount: Mount, client: httpx.AsyncClient) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while given < 100:
            given += 1
            yield b" " * 8 * 1024

    assert_problem(await client.patch("/notifications/read", content=endless()), 413)
    assert given == (100 if mount is MOUNTS["django"] else 9)  # Django reads a body, to disk, before any view is called


async def test_a_body_of_64_kib_is_read(client: httpx.AsyncClient) -> None:
    body = b'{"ids":[]}'.ljust(64 * 1024)
    assert (await client.patch("/notifications/read", content=body)).json() == {"updated": 0}


class BrokenStore(MemoryStore):
    """A store that has lost its database."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return super().__getattribute__(name)

        async def fail(*args: object, **options: object) -> None:
            raise StoreError(f"{name} failed") from OSError("connect to db.internal as admin:hunter2")

        return fail


@pytest.mark.parametrize(("method", "path"), [*SAFE, *UNSAFE])
async def test_a_failing_store_is_503_and_its_error_is_only_logged(
    make_client: MakeClient, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_client(Inbox(BrokenStore())) as client:
        answer = await ask(client, method, path)
    assert_problem(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert "failed" not in answer.text
    assert "hunter2" not in answer.text
    [record] = (record for record in caplog.records if record.name.startswith("notistore"))
    assert (record.name, record.levelno) == ("notistore.web", logging.ERROR)
    assert "hunter2" in caplog.text


async def test_an_outage_is_logged_in_few_lines_however_many_requests_fail(
    make_client: MakeClient, hub: SseHub, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_client(Inbox(BrokenStore(), hub), close_on_signals=False) as client:
        for _ in range(50):
            await client.get("/notifications/unread/count")
            await client.get("/notifications/stream")
    assert [record.name for record in caplog.records if record.name.startswith("notistore")] == ["notistore.web"] * 2


async def test_a_stream_opened_while_the_store_fails_ends_with_a_retry(
    make_client: MakeClient, hub: SseHub, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_client(Inbox(BrokenStore(), hub), close_on_signals=False) as client:
        answer = await client.get("/notifications/stream")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    name, retry = answer.text.removesuffix("\n\n").split(": ")
    assert name == "retry"
    assert 1000 <= int(retry) <= 3000
    assert hub.stats().streams == 0
    assert "hunter2" in caplog.text


@pytest.mark.parametrize("path", ["notifications", "/notifications/", "/", ""])
def test_a_path_without_its_slash_or_with_one_too_many_is_refused(inbox: Inbox, path: str) -> None:
    def nobody(request: Request) -> None:
        return None

    for mount in (inbox_app, inbox_router):
        with pytest.raises(InvalidArgument, match=r"^path: "):
            mount(inbox, nobody, path=path)
