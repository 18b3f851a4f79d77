"""Of twelve typical mistakes: what the kit says of each has the facts that mend it.

Each message was read by itself, as by someone who has not seen the store, and rewritten until it was enough. What is
pinned here is that reading: what was done, which promise, what came back, where to look.
"""

import pytest

from notistore_conformance import check_store

from .typical_mistakes import MISTAKES, Store

TOLD = {
    "ForgetsTheTenant": (
        "insert/stores",
        "[insert.stores]",
        [
            "page('Zo",
            "\n    #2 is of 'Zo",
            "beside neighbours:",
            "Does every query compare id, type and tenant",
            "ForgetsTheTenant.page, ",
        ],
    ),
    "CountsOnePage": (
        "count/many",
        "[count.equals-page]",
        ["(106 more of insert -> None)", "(count of 110 rows):\n    110\ncame back:\n    50", "CountsOnePage.count, "],
    ),
    "ComparesIdsLikeMySQL": (
        "isolation/ids",
        "[recipient.isolation]",
        ["(from page):\n    [#1]\ncame back:\n    [#2, #1]\n    #2 is of 'zO", "ComparesIdsLikeMySQL.page, "],
    ),
    "PagesAfterATime": (
        "page/before-equal-times",
        "[page.before]",
        ["before=Cursor(", "rows of one instant", "11 in all", "PagesAfterATime.page, "],
    ),
    "MarkingIsAnUpdate": (
        "mark-read/keeps-content",
        "[mark-read.keeps-content] updated_at and version stay.",
        ["mark_read(", "updated_at):", "MarkingIsAnUpdate.mark_read, "],
    ),
    "StoresNaiveTimes": (
        "insert/stores",
        "[rows.round-trip]",
        ["created_at, updated_at):", "+00:00", "(naive: no time zone)", "StoresNaiveTimes.get, "],
    ),
    "AsksThenInserts": (
        "upsert/concurrent",
        "[upsert.concurrent]",
        [" ms  upsert(", "11 of 12 raised, the first DuplicateNotification", "no error", "AsksThenInserts.upsert, "],
    ),
    "CountsWhatWasNamed": (
        "mark-read/first-wins",
        "[mark-read.first-wins] A row that is read keeps its read_at and is not counted.",
        ["(from mark_read):\n    0\ncame back:\n    1", "CountsWhatWasNamed.mark_read, "],
    ),
    "IgnoresDuplicates": (
        "insert/duplicate",
        "[insert.duplicate]",
        ["insert(<#1 'invoice.failed' v1 unread>) -> None", "DuplicateNotification raised\ncame back:\n    None"],
    ),
    "LetsTheDriverSpeak": (
        "insert/duplicate",
        "[insert.duplicate]",
        ["DuplicateNotification raised\ncame back:\n    IntegrityError: UNIQUE constraint failed: inbox.id"],
    ),
    "KeepsItsOwnClock": (
        "insert/stores",
        "[rows.round-trip]",
        ["created_at, updated_at):", ".000+00:00", "KeepsItsOwnClock.insert, "],
    ),
    "SharesItsRows": (
        "values/isolated-out",
        "[rows.isolated]",
        ["after the caller changed the data of what get had returned", "SharesItsRows.get, "],
    ),
}


def test_each_mistake_is_read():
    assert TOLD.keys() == MISTAKES.keys() - {"AnotherTable"}


@pytest.mark.parametrize("name", TOLD)
async def test_the_message_has_what_mends_it(name):
    id, promise, facts = TOLD[name]
    report = await check_store(MISTAKES[name], only=id)
    result = next(result for result in report.failed if result.id == id)
    parts = ["done:\n", "promised:\n", "came back:\n", "look at:\n"]
    assert [part for part in parts if part in result.message] == parts
    assert promise in result.message
    assert [fact for fact in facts if fact not in result.message] == [], result.message


class AnotherTable(Store):
    def changed_sql(self, sql):
        return sql.replace("inbox", "mailbox")


async def test_an_error_in_the_way_of_a_check_says_where_it_was_raised():
    report = await check_store(MISTAKES["AnotherTable"], only="get/returns")
    [result] = report.failed
    assert "came back:\n    StoreError: sqlite3: no such table: mailbox" in result.message
    assert "from:\n    OperationalError: no such table: mailbox" in result.message
    assert "raised at:" in result.message
    assert "custom_store.py:" in result.message.split("raised at:")[1]
    assert "concurrent/futures" not in result.message
