"""GET /notifications/unread and /unread/count: the badge and what is behind it."""

from __future__ import annotations

import httpx
import pytest

from notistore import Inbox, Recipient


async def test_the_unread_list_holds_unread_rows_newest_first(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient
) -> None:
    first, read, last = [(await inbox.send(user, type)).id for type in "aab"]
    await inbox.mark_read(user, read)
    items = (await client.get("/notifications/unread")).json()
    assert [item["id"] for item in items] == [last, first]
    items = (await client.get("/notifications/unread?type=a")).json()
    assert [item["id"] for item in items] == [first]


async def test_the_unread_list_is_capped_at_100(client: httpx.AsyncClient, inbox: Inbox, user: Recipient) -> None:
    for _ in range(101):
        newest = await inbox.send(user, "t")
    items = (await client.get("/notifications/unread")).json()
    assert len(items) == 100
    assert items[0]["id"] == newest.id


async def test_the_count_is_of_unread_rows(client: httpx.AsyncClient, inbox: Inbox, user: Recipient) -> None:
    read = await inbox.send(user, "a")
    await inbox.send_many([user, Recipient("43"), Recipient("42", tenant="acme")], "a")
    await inbox.send(user, "b")
    await inbox.mark_read(user, read.id)
    for query, expected in (("", 2), ("?type=a", 1), ("?type=c", 0), ("?max=1", 1), ("?max=2147483647", 2)):
        answer = await client.get(f"/notifications/unread/count{query}")
        assert answer.json() == {"count": expected}


@pytest.mark.parametrize(("query", "field"), [("max=0", "max"), ("max=x", "max"), ("max=2147483648", "max")])
async def test_a_garbage_query_is_422(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"/notifications/unread/count?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_count_that_still_holds_is_304_without_a_body(
    client: httpx.AsyncClient, inbox: Inbox, user: Recipient
) -> None:
    await inbox.send(user, "t")
    etag = (await client.get("/notifications/unread/count")).headers["etag"]
    for known in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        answer = await client.get("/notifications/unread/count", headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        assert answer.headers["cache-control"] == "private, no-cache"

    await inbox.send(user, "t")
    answer = await client.get("/notifications/unread/count", headers={"if-none-match": etag})
    assert (answer.status_code, answer.json()) == (200, {"count": 2})
    assert answer.headers["etag"] != etag
