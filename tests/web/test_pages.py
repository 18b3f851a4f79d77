"""GET /notifications: pages by number, and pages by cursor."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from notistore import Actor, Cursor, Inbox, Recipient

from .conftest import MakeClient


async def send(inbox: Inbox, user: Recipient, number: int, type: str = "t") -> list[str]:
    """Ids, newest first as a page has them."""
    return [(await inbox.send(user, type, {"n": n})).id for n in range(number)][::-1]


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_an_item_has_exactly_these_fields(make_client: MakeClient, store: Any, hub: Any, noon: datetime) -> None:
    inbox = Inbox(store, hub, clock=lambda: noon)
    user = Recipient("42", tenant="acme")
    sent = await inbox.send(
        user, "export.done", {"deep": [{"ü\u2028": None}]}, key="export:9", actor=Actor("7", "team"), trace_id="tr"
    )
    await inbox.mark_read(user, sent.id)
    async with make_client(inbox) as client:
        answer = await client.get("/notifications", headers={"x-tenant": "acme"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "items": [
            {
                "id": sent.id,
                "type": "export.done",
                "notifiableType": "user",
                "notifiableId": "42",
                "tenantId": "acme",
                "key": "export:9",
                "data": {"deep": [{"ü\u2028": None}]},
                "actor": {"id": "7", "type": "team"},
                "traceId": "tr",
                "version": 1,
                "readAt": "2026-11-20T12:00:00.123+00:00",
                "createdAt": "2026-11-20T12:00:00.123+00:00",
                "updatedAt": "2026-11-20T12:00:00.123+00:00",
            }
        ],
        "meta": {"page": 1, "perPage": 20, "total": 1, "lastPage": 1},
    }


async def test_what_an_item_lacks_is_null_and_its_data_an_object(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient
) -> None:
    await inbox.send(user, "t")
    [item] = (await client.get("/notifications")).json()["items"]
    assert item["data"] == {}
    assert [item[name] for name in ("tenantId", "key", "actor", "traceId", "readAt")] == [None] * 5


async def test_pages_are_newest_first_and_say_where_they_stand(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient
) -> None:
    sent = await send(inbox, user, 5)
    await send(inbox, Recipient("43"), 1)
    for page, expected in ((1, sent[:2]), (2, sent[2:4]), (3, sent[4:]), (4, [])):
        answer = await client.get("/notifications", params={"page": page, "perPage": 2})
        assert ids(answer) == expected
        assert answer.json()["meta"] == {"page": page, "perPage": 2, "total": 5, "lastPage": 3}


async def test_an_empty_inbox_has_one_empty_page(client: httpx.AsyncClient) -> None:
    assert (await client.get("/notifications")).json() == {
        "items": [],
        "meta": {"page": 1, "perPage": 20, "total": 0, "lastPage": 1},
    }


@pytest.mark.parametrize("limit", ["101", "9999999999999999999999"])
async def test_per_page_is_capped_at_100(client: httpx.AsyncClient, inbox: Inbox, user: Recipient, limit: str) -> None:
    sent = await send(inbox, user, 102)
    answer = await client.get("/notifications", params={"perPage": limit})
    assert ids(answer) == sent[:100]
    assert answer.json()["meta"] == {"page": 1, "perPage": 100, "total": 102, "lastPage": 2}
    assert ids(await client.get("/notifications", params={"limit": limit})) == sent[:100]


async def test_pages_are_no_greater_than_the_inbox_gives(make_client: MakeClient, store: Any, user: Recipient) -> None:
    inbox = Inbox(store, max_limit=3)
    sent = await send(inbox, user, 4)
    async with make_client(inbox) as client:
        for query in ("", "?perPage=100", "?limit=100", "?before="):
            assert ids(await client.get(f"/notifications{query}")) == sent[:3]
        assert len((await client.get("/notifications/unread")).json()) == 3


async def test_types_filter(client: httpx.AsyncClient, inbox: Inbox, user: Recipient) -> None:
    a, b, c = [(await inbox.send(user, type)).id for type in ("a", "b", "c")]
    for query, expected in (
        ("type=a,b", [b, a]),
        ("type=a&type=b", [b, a]),
        ("type=%20a%20,,", [a]),
        ("type=", [c, b, a]),
        ("type=A", []),
    ):
        answer = await client.get(f"/notifications?{query}")
        assert ids(answer) == expected, query
        assert answer.json()["meta"]["total"] == len(expected)
        assert ids(await client.get(f"/notifications?{query}&limit=9")) == expected, query


async def test_cursor_pages_end_with_next_null(client: httpx.AsyncClient, inbox: Inbox, user: Recipient) -> None:
    newest, middle, oldest = await send(inbox, user, 3)
    first = await client.get("/notifications?limit=2")
    assert ids(first) == [newest, middle]
    second = await client.get("/notifications", params={"limit": 2, "before": first.json()["next"]})
    assert second.json().keys() == {"items", "next"}
    assert ids(second) == [oldest]
    assert second.json()["next"] is None


async def test_cursor_pages_neither_skip_nor_repeat_while_rows_are_read_added_and_deleted(
    make_client: MakeClient, store: Any, noon: datetime, user: Recipient
) -> None:
    now = noon
    inbox = Inbox(store, clock=lambda: now)
    sent = await send(inbox, user, 20)  # all of one millisecond
    now += timedelta(seconds=1)
    seen: list[str] = []
    async with make_client(inbox) as client:
        cursor: str | None = ""
        while cursor is not None:
            answer = await client.get("/notifications", params={"before": cursor, "limit": 3})
            page = ids(answer)
            seen += page
            cursor = answer.json()["next"]
            await send(inbox, user, 2)
            await inbox.mark_read(user, *page)
            await inbox.delete(user, *page[-1:])  # the row that the cursor was made from
    assert seen == sent


@pytest.mark.parametrize("number", ["0", "-1", "-" + "9" * 5000, "-0", "1", "0" * 40 + "1"])
async def test_a_page_or_per_page_below_1_is_taken_as_1(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient, number: str
) -> None:
    await send(inbox, user, 3)
    answer = await client.get(f"/notifications?page={number}&perPage={number}")
    assert answer.json()["meta"] == {"page": 1, "perPage": 1, "total": 3, "lastPage": 3}


async def test_leading_zeros_are_no_part_of_a_number(client: httpx.AsyncClient) -> None:
    answer = await client.get("/notifications?page=" + "0" * 40 + "7&perPage=000000000012")
    assert (answer.json()["meta"]["page"], answer.json()["meta"]["perPage"]) == (7, 12)
    assert (await client.get("/notifications?page=" + "0" * 40 + "99999999999")).status_code == 422


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=1.0", "page"),
        ("page=one", "page"),
        ("page=%D9%A1", "page"),  # a digit, but not ASCII's
        ("page=1&page=2", "page"),
        ("page=99999999999", "page"),
        ("page=2147483647", "page"),
        ("page=-", "page"),
        ("perPage=--1", "perPage"),
        ("perPage=%2020", "perPage"),
        ("perPage=+20", "perPage"),
        ("perPage=" + "9" * 5000 + "x", "perPage"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("before=x", "before"),
        ("before=1.2", "before"),
        ("before=" + "9" * 5000 + ".0193abcd-0000-7000-8000-000000000000", "before"),
        ("before=999999999999999999.0193abcd-0000-7000-8000-000000000000", "before"),
        ("before=0.0193ABCD-0000-7000-8000-000000000000", "before"),
        ("type=%00", "type"),
        ("type=a,b%0d%0ac", "type"),
        ("type=" + "a" * 65, "type"),
        ("type=" + ",".join(map(str, range(101))), "type"),
    ],
)
async def test_a_garbage_query_is_422_and_names_its_field(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"/notifications?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["field"]) == (422, field)
    assert problem["detail"].startswith(f"{field}: ")
    assert len(answer.content) < 500


async def test_a_cursor_comes_from_its_row(client: httpx.AsyncClient, inbox: Inbox, user: Recipient) -> None:
    await inbox.send(user, "older")
    row = await inbox.send(user, "newer")
    answer = await client.get("/notifications?limit=1")
    assert Cursor.parse(answer.json()["next"]) == row.cursor
