"""How ids are made, and what can be one."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notistore import Inbox, InvalidArgument, Recipient, ids, keyed_id
from notistore.ids import is_id, new_id

DOCUMENT = Path(__file__).parents[2] / "docs" / "ids.md"
VECTOR = re.compile(r"^\| `(.+)` \| `(.+)` \| `(.+)` \| `(.+)` \| `([0-9a-f-]{36})` \|$", re.MULTILINE)
VECTORS = [
    ([json.loads(part) for part in parts], expected) for *parts, expected in VECTOR.findall(DOCUMENT.read_text("utf-8"))
]

# Few characters and short texts, so that parts often meet at their edges: "a" + "bc" and "ab" + "c".
parts = st.text("ab:1|\u00e9", min_size=1, max_size=3)
identities = st.tuples(st.none() | parts, parts, parts, parts)


def test_new_id_is_a_lower_case_uuid_of_version_7() -> None:
    made = uuid.UUID(new_id())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert is_id(str(made))


def test_new_id_begins_with_the_milliseconds_since_1970() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id()).int >> 80
    assert before <= made <= time.time_ns() // 1_000_000


def test_new_ids_ascend_as_strings() -> None:
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_threads_count_on_from_each_other_when_the_clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "time", SimpleNamespace(time_ns=lambda: 0))
    start = threading.Barrier(8)
    made: list[list[str]] = [[] for _ in range(8)]

    def work(mine: list[str]) -> None:
        start.wait()
        mine.extend(new_id() for _ in range(5_000))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that they do interrupt each other
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    for mine in made:
        assert mine == sorted(mine)
    # The 60 bits of time, version included: what is random in an id has no part in the order.
    assert len({id[:18] for mine in made for id in mine}) == 40_000


def test_new_ids_ascend_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    monkeypatch.setattr(ids, "time", SimpleNamespace(time_ns=lambda: 0))
    assert before < new_id() < new_id()


def test_keyed_id_is_a_lower_case_uuid_of_version_8() -> None:
    made = uuid.UUID(keyed_id(Recipient("42"), "export:9"))
    assert made.version == 8
    assert made.variant == uuid.RFC_4122
    assert is_id(str(made))


@pytest.mark.parametrize(("identity", "expected"), VECTORS, ids=[json.dumps(identity) for identity, _ in VECTORS])
def test_keyed_id_makes_the_documented_vectors(identity: list[str], expected: str) -> None:
    tenant, type, id, key = identity
    assert keyed_id(Recipient(id, type, tenant), key) == expected


def test_the_document_has_the_vectors_that_matter() -> None:
    identities = [tuple(identity) for identity, _ in VECTORS]
    assert any(tenant is None for tenant, *_ in identities)
    assert any(not "".join(rest).isascii() for _, *rest in identities)
    assert {("a", "user", "bc", "k"), ("ab", "user", "c", "k")} <= set(identities)
    assert len({expected for _, expected in VECTORS}) == len(VECTORS) >= 8


@given(st.sets(identities, min_size=2, max_size=20))
def test_keyed_id_is_different_for_different_identities(identities: set[tuple[str | None, str, str, str]]) -> None:
    made = {keyed_id(Recipient(id, type, tenant), key) for tenant, type, id, key in identities}
    assert len(made) == len(identities)


ID = "019aa0a0-0000-7000-8000-000000000000"
NO_IDS = {
    "empty": "",
    "a word": "latest",
    "upper case": ID.upper(),
    "braces": "{" + ID + "}",
    "no hyphens": ID.replace("-", ""),
    "a line end": ID + "\n",
    "version 4": ID.replace("7000", "4000"),
    "another variant": ID.replace("8000", "0000"),
    "other digits": ID[:-1] + "\u0661",
}


@pytest.mark.parametrize("text", NO_IDS.values(), ids=NO_IDS.keys())
def test_nothing_else_can_be_an_id(text: object) -> None:
    assert not is_id(text)


@pytest.mark.parametrize("text", NO_IDS.values(), ids=NO_IDS.keys())
async def test_no_store_is_asked_about_what_cannot_be_an_id(recording, user: Recipient, text: str) -> None:
    inbox = Inbox(recording)
    assert await inbox.get(user, text) is None
    assert await inbox.mark_read(user, text) == 0
    assert await inbox.mark_unread(user, text) == 0
    assert await inbox.delete(user, text) == 0
    assert recording.calls == []


@pytest.mark.parametrize("id", [uuid.UUID(ID), [ID], None, 7], ids=["a UUID", "a list", "None", "a number"])
async def test_what_is_no_string_is_a_mistake_and_not_an_unknown_id(recording, user: Recipient, id: object) -> None:
    inbox = Inbox(recording)
    for verb in (inbox.mark_read, inbox.mark_unread, inbox.delete):
        with pytest.raises(InvalidArgument, match=r"ids: expected each id as a string of its own"):
            await verb(user, id)  # type: ignore[arg-type]
    assert recording.calls == []
