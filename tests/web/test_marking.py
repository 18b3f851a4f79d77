"""The unsafe requests: mark read, mark unread, delete."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from notistore import Inbox, Recipient
from notistore.wire import encode_time

from .conftest import MakeClient

NEIGHBOUR = Recipient("43")
OTHER_TENANT = Recipient("42", tenant="acme")


async def is_read(inbox: Inbox, user: Recipient, id: str) -> bool:
    row = await inbox.get(user, id)
    assert row is not None
    return row.read_at is not None


async def test_marks_are_204_without_a_body_and_repeats_too(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient
) -> None:
    sent = await inbox.send(user, "t")
    for verb, read in (("read", True), ("read", True), ("unread", False), ("unread", False)):
        answer = await client.post(f"/notifications/{sent.id}/{verb}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert await is_read(inbox, user, sent.id) is read


async def test_a_deleted_notification_is_204_then_404(client: httpx.AsyncClient, inbox: Inbox, user: Recipient) -> None:
    sent = await inbox.send(user, "t")
    assert [(await client.delete(f"/notifications/{sent.id}")).status_code for _ in range(2)] == [204, 404]
    assert await inbox.get(user, sent.id) is None


@pytest.mark.parametrize("request_line", ["POST {}/read", "POST {}/unread", "DELETE {}"])
async def test_unknown_foreign_and_malformed_ids_are_the_same_404(
    client: httpx.AsyncClient, inbox: Inbox, request_line: str
) -> None:
    foreign = [await inbox.send(recipient, "t", key="k") for recipient in (NEIGHBOUR, OTHER_TENANT)]
    method, path = request_line.split()
    answers = [
        await client.request(method, "/notifications/" + path.format(id))
        for id in (
            "0193abcd-0000-7000-8000-000000000000",
            *(row.id for row in foreign),
            foreign[0].id.upper(),
            "x",
            "%00",
            "..%5c",
            "%F0%9F%98%80",
            "9" * 4000,
        )
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1, "an answer tells one id from another"
    assert [await inbox.get(row.recipient, row.id) for row in foreign] == foreign


async def test_many_are_marked_at_once_and_those_that_changed_are_counted(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient
) -> None:
    unread, read, other = [(await inbox.send(user, "t")).id for _ in range(3)]
    foreign = await inbox.send(NEIGHBOUR, "t")
    await inbox.mark_read(user, read)
    body = json.dumps({"ids": [unread, unread, read, foreign.id, "x", "\ud800"]})
    answer = await client.patch("/notifications/read", content=body)
    assert (answer.status_code, answer.json()) == (200, {"updated": 1})
    assert [await is_read(inbox, user, id) for id in (unread, other)] == [True, False]
    assert not await is_read(inbox, NEIGHBOUR, foreign.id)
    assert (await client.patch("/notifications/read", json={"ids": []})).json() == {"updated": 0}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("", "body"),
        ("{", "body"),
        ("\udcff", "body"),
        ("9" * 5000, "body"),
        ("[" * 30_000, "body"),
        ("[]", "ids"),
        ("null", "ids"),
        ("{}", "ids"),
        ('{"ids": null}', "ids"),
        ('{"ids": "x"}', "ids"),
        ('{"ids": {"0": "x"}}', "ids"),
        ('{"ids": ["x", 1]}', "ids[1]"),
        ('{"ids": [null]}', "ids[0]"),
        ('{"ids": [["x"]]}', "ids[0]"),
        ('{"ids": [' + '"",' * 10_000 + '""]}', "ids"),
    ],
)
async def test_a_body_of_the_wrong_type_is_422_and_names_its_field(
    client: httpx.AsyncClient, body: str, field: str
) -> None:
    answer = await client.patch("/notifications/read", content=body.encode(errors="surrogateescape"))
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert len(answer.content) < 500


async def test_read_all_marks_everything_of_this_recipient(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient
) -> None:
    await inbox.send_many([user, NEIGHBOUR, OTHER_TENANT], "a")
    await inbox.send(user, "b")
    for _ in range(2):
        answer = await client.post("/notifications/read-all")
        assert (answer.status_code, answer.content) == (204, b"")
    assert [await inbox.unread_count(whose) for whose in (user, NEIGHBOUR, OTHER_TENANT)] == [0, 1, 1]


async def test_read_all_of_some_types(client: httpx.AsyncClient, inbox: Inbox, user: Recipient) -> None:
    for type in "abc":
        await inbox.send(user, type)
    assert (await client.post("/notifications/read-all?type=a,b")).status_code == 204
    assert [row.type for row in await inbox.page(user, unread_only=True)] == ["c"]


@pytest.mark.parametrize("spell", [encode_time, lambda time: encode_time(time).replace("+00:00", "Z")])
async def test_read_all_leaves_unread_what_landed_after_seen(
    make_client: MakeClient, store: Any, noon: datetime, user: Recipient, spell: Any
) -> None:
    now = noon
    inbox = Inbox(store, clock=lambda: now)
    await inbox.send(user, "seen")
    now += timedelta(milliseconds=1)
    await inbox.send(user, "landed after the click")
    async with make_client(inbox) as client:
        # Both as a client that escapes would write it, and as one that does not.
        assert (await client.post("/notifications/read-all", params={"seen": spell(noon)})).status_code == 204
        assert [row.type for row in await inbox.page(user, unread_only=True)] == ["landed after the click"]
        assert (await client.post(f"/notifications/read-all?seen={spell(now)}")).status_code == 204
    assert await inbox.unread_count(user) == 0


@pytest.mark.parametrize(
    "seen",
    [
        "x",
        "",
        "2026-11-20",
        "2026-11-20T12:00:00",
        "1795176000",
        "0001-01-01T00:00:00%2B23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
async def test_a_seen_that_is_no_instant_is_422(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient, seen: str
) -> None:
    await inbox.send(user, "t")
    answer = await client.post(f"/notifications/read-all?seen={seen}")
    assert (answer.status_code, answer.json()["field"]) == (422, "seen")
    assert await inbox.unread_count(user) == 1
