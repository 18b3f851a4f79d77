"""Of twelve typical mistakes: what the kit says of each has the facts that mend it.

Each message was read by itself, as by someone who has not seen the store, and rewritten until it was enough. What is
pinned here is that reading: what was done, which promise, what came back, where to look.
"""

import re
import uuid
from dataclasses import replace
from decimal import Decimal

import pytest

from notistore import MemoryStore, StoreError
from notistore_conformance import check_store
from notistore_conformance.cli import run_conform

from .typical_mistakes import MISTAKES, Store

pytest_plugins = ["pytester"]

EXPECTED = {
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
        "[mark-read.keeps-content] updated_at and version do not change.",
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
        "[mark-read.first-wins] A row that is already read keeps its read_at and is not counted.",
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
    assert EXPECTED.keys() == MISTAKES.keys() - {"AnotherTable"}


@pytest.mark.parametrize("name", EXPECTED)
async def test_the_message_has_what_mends_it(name):
    id, promise, facts = EXPECTED[name]
    report = await check_store(MISTAKES[name], only=id)
    result = next(result for result in report.failed if result.id == id)
    parts = ["done:\n", "promised:\n", "came back:\n", "look at:\n"]
    assert [part for part in parts if part in result.message] == parts
    assert promise in result.message
    assert [fact for fact in facts if fact not in result.message] == [], result.message


class AnotherTable(Store):
    def changed_sql(self, sql):
        return sql.replace("inbox", "mailbox")


async def test_an_error_during_a_check_shows_where_it_was_raised():
    report = await check_store(MISTAKES["AnotherTable"], only="get/returns")
    [result] = report.failed
    assert "came back:\n    StoreError: sqlite3: no such table: mailbox" in result.message
    assert "from:\n    OperationalError: no such table: mailbox" in result.message
    assert "raised at:" in result.message
    assert "custom_store.py:" in result.message.split("raised at:")[1]
    assert "concurrent/futures" not in result.message


class Changing(MemoryStore):
    """Every row that it returns is changed first."""

    def changed(self, row):
        return row

    async def get(self, recipient, id):
        row = await super().get(recipient, id)
        return row and self.changed(row)

    async def page(self, recipient, **query):
        return [self.changed(row) for row in await super().page(recipient, **query)]

    async def upsert(self, notification, *, renotify=True):
        return self.changed(await super().upsert(notification, renotify=renotify))


class ReturnsUUIDs(Changing):
    def changed(self, row):
        return replace(row, id=uuid.UUID(row.id))


class ReturnsTuples(Changing):
    def changed(self, row):
        return replace(
            row, data={key: tuple(each) if isinstance(each, list) else each for key, each in row.data.items()}
        )


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value


class LosesALetter(Changing):
    def changed(self, row):
        return replace(row, data={key: _without_letter(each) for key, each in row.data.items()})


def _without_letter(value):
    return value[:100] + "?" + value[101:] if isinstance(value, str) and len(value) > 200 else value


async def test_types_are_shown_where_values_print_the_same():
    report = await check_store(ReturnsUUIDs, only="insert/stores")
    [message] = [result.message for result in report.failed]
    assert "    {'id': #1}, which is {id: str}\ncame back:\n    {'id': UUID('" in message
    assert "')}, which is {id: UUID}\n" in message
    report = await check_store(ReturnsTuples, only="values/")
    assert any("list" in m and "tuple" in m for m in (result.message for result in report.failed)), str(report)


async def test_long_values_are_shown_where_they_differ():
    report = await check_store(LosesALetter, only="values/large")
    [message] = [result.message for result in report.failed]
    expected, got = re.search(r"expected.*:\n(.*)\ncame back:\n(.*)\n", message).groups()
    assert expected != got
    assert "?" in got


@pytest.mark.parametrize("only", ["i", "m", "p"])
async def test_one_mistake_is_printed_once_with_the_ids_of_all_it_fails(only):
    report = await check_store(ReturnsUUIDs, only=only, seconds=1)
    failed = [result.id for result in report.failed]
    assert len(failed) > 10
    text = str(report)
    assert text.count("\npromised:\n") <= 2  # an error of comparing the id with a text is another cause
    below = text.partition("-" * 78)[2]
    assert [id for id in failed if id not in below] == []


async def test_errors_of_one_kind_are_one_cause_and_others_their_own():
    class Fails(MemoryStore):
        async def page(self, recipient, **query):
            raise StoreError(f"no such table: rows_{id(recipient)}")

        async def count(self, recipient, *, types=None):
            return Decimal(await super().count(recipient, types=types))

    report = await check_store(Fails, only="page/")
    assert str(report).count("\npromised:\n") == 1
    assert f"for the same reason {len(report.failed) - 1} more failed:" in str(report)
    report = await check_store(Fails, only="count/")
    assert "\nfor the same reason" in str(report)


def test_pytest_prints_one_mistake_in_full_once(pytester):
    pytester.makepyfile(
        """
        import uuid
        from dataclasses import replace
        from notistore import MemoryStore
        from notistore_conformance import NotificationStoreSuite

        class ReturnsUUIDs(MemoryStore):
            async def get(self, recipient, id):
                row = await super().get(recipient, id)
                return row and replace(row, id=uuid.UUID(row.id))

        class TestMine(NotificationStoreSuite):
            def make_store(self):
                return ReturnsUUIDs()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q", "-k", "insert/ or get/", timeout=60)
    failures, _, _ = result.stdout.str().partition("short test summary info")  # which repeats them where CI is set
    assert result.parseoutcomes()["failed"] > 3
    assert failures.count("\npromised:\n") == 1
    result.stdout.fnmatch_lines(["get/returns: *", "for the same reason as insert/stores, which says more"])


def test_a_core_method_that_is_not_offered_fails_in_pytest_too(pytester):
    pytester.makepyfile(
        """
        from notistore import MemoryStore, Unsupported
        from notistore_conformance import NotificationStoreSuite

        class KeepsAll(MemoryStore):
            async def delete(self, *args, **kwargs):
                raise Unsupported("this store deletes nothing")

        class TestMine(NotificationStoreSuite):
            def make_store(self):
                return KeepsAll()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q", "-k", "delete/", timeout=60)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "skipped" not in result.parseoutcomes()
    result.stdout.fnmatch_lines(["not offered: this store deletes nothing", "*TestMine: DOES NOT CONFORM*"])


def test_an_import_that_fails_is_one_line_and_no_verdict(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    for name, source, reason in (
        ("lacks", "import there_is_no_such_module", "ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("unparsable", "def make(:", "SyntaxError: "),
        ("unset", "raise RuntimeError('no settings\\nare configured')", "RuntimeError: no settings are configured"),
        ("exits", "raise SystemExit(1)", "SystemExit: 1"),
    ):
        (tmp_path / f"{name}_one.py").write_text(source)
        assert run_conform(f"{name}_one:make") == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith(f"got '{name}_one:make', whose import raised {reason}")
        assert len(printed.err.splitlines()) == 1


def test_an_import_that_exits_is_a_usage_error_of_pytest(pytester):
    pytester.makepyfile(exits="raise SystemExit(1)")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--notistore=exits:make", timeout=60)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*got 'exits:make', whose import raised SystemExit: 1"])


def test_a_fixture_as_an_argument_of_make_store_is_pointed_to_self(pytester):
    pytester.makepyfile(
        """
        import pytest
        from notistore import MemoryStore
        from notistore_conformance import NotificationStoreSuite

        @pytest.fixture
        def url():
            return "memory:"

        class TestMine(NotificationStoreSuite):
            def make_store(self, url):
                return MemoryStore()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-k", "get/returns", timeout=60)
    result.stdout.fnmatch_lines(
        ["make_store() takes no arguments, and this one needs url. *on self, where make_store*"]
    )


def test_a_suite_without_its_factory_fails_in_one_line(pytester):
    pytester.makepyfile(
        """
        from notistore_conformance import BackplaneSuite, NotificationStoreSuite, WebSuite

        class TestStore(NotificationStoreSuite):
            pass

        class TestBackplane(BackplaneSuite):
            pass

        class TestWeb(WebSuite):
            pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--tb=short", timeout=60)
    assert result.parseoutcomes().keys() == {"failed"}
    for name, factory in (("Store", "make_store"), ("Backplane", "make_backplane"), ("Web", "make_mount")):
        result.stdout.fnmatch_lines([f"Test{name} has no {factory}(), which returns what is tested"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_the_methods_that_an_object_lacks_are_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "duck_one.py").write_text("class DuckStore: pass")
    monkeypatch.syspath_prepend(tmp_path)
    assert run_conform("duck_one:DuckStore") == 2
    assert "none of the methods insert, upsert, get, page, count, unread_count, mark_read, " in capsys.readouterr().err
