"""The admin, through Django's own test client: what it shows, what its actions do, and how few queries it takes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from notistore import Actor, Notification, Recipient
from notistore.model import utc_now
from notistore_django import admin
from notistore_django.store import SyncDjangoStore

LIST = "/admin/notistore/notification/"


@pytest.fixture(autouse=True)
def store(project: None) -> Iterator[SyncDjangoStore]:
    store = SyncDjangoStore()
    yield store
    store.prune(older_than=utc_now() + timedelta(days=1))


@pytest.fixture
def client() -> Client:
    from django.contrib.auth.models import User

    client = Client()
    client.force_login(User.objects.create_superuser(uuid.uuid4().hex))
    return client


def send(store: SyncDjangoStore, user: Recipient, type: str = "t", **row: object) -> Notification:
    made = Notification.new(user, type, {"text": "<b>bold</b>"}, **row)  # type: ignore[arg-type]
    store.insert(made)
    return made


def shown(client: Client, query: str = "") -> list[str]:
    """The recipients of the rows that the list shows, in order."""
    answer = client.get(LIST + query)
    assert answer.status_code == 200
    return re.findall(r'<td class="field-recipient_id">([^<]+)</td>', answer.text)


def test_the_latest_change_comes_first(client: Client, store: SyncDjangoStore) -> None:
    now = utc_now()
    for n in range(3):
        send(store, Recipient(f"u{n}"), at=now + timedelta(seconds=n))
    assert shown(client) == ["u2", "u1", "u0"]


def test_filters_by_state_type_and_tenant(client: Client, store: SyncDjangoStore) -> None:
    send(store, Recipient("unread"), "a")
    read = send(store, Recipient("read", tenant="acme"), "b")
    store.mark_read(read.recipient, read.id, at=utc_now())
    assert shown(client, "?state=unread") == ["unread"]
    assert shown(client, "?state=read") == ["read"]
    assert shown(client, "?type=a") == ["unread"]
    assert shown(client, "?tenant=acme") == ["read"]
    assert shown(client, "?type=nosuch") == []
    assert 'href="?tenant=acme"' in client.get(LIST).text


def test_search_is_by_exact_recipient_id_key_or_trace(client: Client, store: SyncDjangoStore) -> None:
    row = send(store, Recipient("42"), key="export:1", trace_id="trace")
    send(store, Recipient("421"))
    for text in ("42", row.id, "export:1", "trace"):
        assert shown(client, f"?q={text}") == ["42"]


def test_actions_mark_read_and_unread_what_was_not(client: Client, store: SyncDjangoStore) -> None:
    user = Recipient("42")
    rows = [send(store, user) for _ in range(3)]
    store.mark_read(user, rows[0].id, at=rows[0].created_at)
    chosen = {"_selected_action": [row.id for row in rows]}
    answer = client.post(LIST, {"action": "mark_read", **chosen}, follow=True)
    assert "2 notifications were changed." in answer.text
    assert store.unread_count(user) == 0
    assert [row.read_at for row in store.page(user)][-1] == rows[0].created_at
    answer = client.post(LIST, {"action": "mark_unread", **chosen}, follow=True)
    assert "3 notifications were changed." in answer.text
    assert store.unread_count(user) == 3


def test_rows_are_shown_whole_and_cannot_be_edited_or_added(client: Client, store: SyncDjangoStore) -> None:
    row = send(store, Recipient("42"), actor=Actor("7"), key="k")
    page = client.get(f"{LIST}{row.id}/change/")
    assert "&lt;b&gt;bold&lt;/b&gt;" in page.text
    assert "<b>bold</b>" not in page.text
    assert 'name="data"' not in page.text
    client.post(f"{LIST}{row.id}/change/", {"type": "other", "data": "{}"})
    assert store.get(row.recipient, row.id) == row
    assert client.get(f"{LIST}add/").status_code == 403


def test_rows_can_be_deleted(client: Client, store: SyncDjangoStore) -> None:
    row = send(store, Recipient("42"))
    chosen = {"action": "delete_selected", "_selected_action": [row.id], "post": "yes"}
    assert client.post(LIST, chosen).status_code == 302
    assert store.count(row.recipient) == 0


def test_who_may_only_view_has_no_actions(store: SyncDjangoStore) -> None:
    from django.contrib.auth.models import Permission, User

    row = send(store, Recipient("42"))
    viewer = User.objects.create_user(uuid.uuid4().hex, is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_notification"))
    client = Client()
    client.force_login(viewer)
    assert shown(client) == ["42"]
    client.post(LIST, {"action": "mark_read", "_selected_action": [row.id]})
    assert store.get(row.recipient, row.id) == row


def test_the_list_takes_as_many_queries_for_many_rows_as_for_one(client: Client, store: SyncDjangoStore) -> None:
    send(store, Recipient("42"))
    with CaptureQueriesContext(connections["default"]) as for_one:
        shown(client)
    store.insert_many([Notification.new(Recipient(f"{n}"), "t") for n in range(40)])
    with CaptureQueriesContext(connections["default"]) as for_many:
        assert len(shown(client)) == 41
    assert len(for_many) == len(for_one)


def test_no_query_of_the_list_reads_the_whole_table(
    client: Client, store: SyncDjangoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "_COUNTED", 60)
    monkeypatch.setattr(admin, "_SAMPLED", 10)
    store.insert_many([Notification.new(Recipient(f"{n}"), "t") for n in range(80)])
    with CaptureQueriesContext(connections["default"]) as queries:
        page = client.get(LIST)
    assert "60 notifications" in page.text
    ours = [query["sql"] for query in queries if "notistore_notifications" in query["sql"]]
    assert len(ours) == 4
    assert all("LIMIT" in sql for sql in ours), ours
