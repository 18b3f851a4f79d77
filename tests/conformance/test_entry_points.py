"""The entry points: check_store, the suite class, the pytest flag and the command line; and the kinds of factories."""

import json
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import pytest

from notistore import MemoryStore
from notistore_conformance import Outcome, StoreImplementation, check_store
from notistore_conformance.cli import run_conform
from notistore_conformance.registry import CONTRACT, checks_of

from .methods import METHODS

pytest_plugins = ["pytester"]
EXAMPLES = Path(__file__).parents[2] / "examples"

BROKEN = """
    from contextlib import asynccontextmanager
    from notistore import MemoryStore

    class Broken(MemoryStore):
        async def count(self, recipient, *, types=None):
            return 7

    @asynccontextmanager
    async def make_store():
        yield MemoryStore()
"""

SUITE = """
    from contextlib import asynccontextmanager
    from notistore import MemoryStore
    from notistore_conformance import NotificationStoreSuite

    class TestMine(NotificationStoreSuite):
        entered = 0

        @asynccontextmanager
        async def make_store(self):
            type(self).entered += 1
            yield MemoryStore()
            assert self.entered == 1
"""


def run_pytest(pytester, *args):
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *args, timeout=180)


# check_store


async def test_a_report_has_one_result_per_check_and_says_what_was_not_offered():
    report = await check_store(MemoryStore, name="mine")
    assert [result.id for result in report.results] == list(checks_of("store"))
    assert report.verdict.startswith("CONFORMS")
    assert "not offered: schema" in report.table()
    read = json.loads(report.to_json())
    assert read["conforms"] is True
    assert read["results"][0]["id"] == "insert/stores"
    assert read["contract"] == CONTRACT
    assert read["kit"] == metadata.version("notistore")
    assert read["distribution"] == f"notistore {read['kit']}"
    assert (read["backend"], read["seed"]) == (None, 0)
    assert "| `insert/stores` |" in report.to_markdown()


async def test_a_filtered_run_is_partial():
    report = await check_store(MemoryStore, only="get/")
    assert not report.conforms
    assert report.verdict.startswith("PARTIAL")


async def test_expected_failures_are_strict():
    class Broken(MemoryStore):
        async def count(self, recipient, *, types=None):
            return 7

    expected = {"count/equals-page": "later", "count/unread": "but it works"}
    report = await check_store(Broken, only="count/", expected_failures=expected)
    outcomes = {result.id: result.outcome for result in report.results}
    assert outcomes["count/equals-page"] is Outcome.EXPECTED
    assert outcomes["count/unread"] is Outcome.FAILED
    assert report.verdict.startswith("DOES NOT CONFORM")
    with pytest.raises(ValueError, match="nonsense/id"):
        await check_store(Broken, expected_failures={"nonsense/id": "no such check"})


async def test_bind_that_cannot_be_checked_leaves_a_run_partial():
    class Binds(MemoryStore):
        def bind(self, session):
            return self

    report = await check_store(Binds)
    assert not report.conforms
    assert report.verdict.startswith("PARTIAL")


async def test_without_hypothesis_the_report_says_so_and_does_not_claim_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "notistore_conformance.store.stateful.stateful", raising=False)
    report = await check_store(MemoryStore)
    assert {result.id for result in report.results if result.outcome is Outcome.NOT_RUN} == {"model/history"}
    assert report.verdict.startswith("PARTIAL")
    assert "notistore[conformance]" in report.table()


async def test_the_store_is_left_as_it_was_found():
    store = MemoryStore()
    await check_store(lambda: store)
    assert await store.prune(older_than=datetime(9999, 1, 1, tzinfo=UTC)) == 0


# factories


async def async_generator():
    yield MemoryStore()


def generator():
    yield MemoryStore()


@contextmanager
def manager():
    yield MemoryStore()


@asynccontextmanager
async def subject():
    store = MemoryStore()
    yield StoreImplementation(store, peer=store)


async def coroutine():
    return MemoryStore()


@pytest.mark.parametrize("make_store", [MemoryStore, async_generator, generator, manager, subject, coroutine])
async def test_every_kind_of_factory_works(make_store):
    report = await check_store(make_store, only="insert/")
    assert {result.outcome for result in report.results} == {Outcome.PASSED}


# other processes


def promised():
    yield StoreImplementation(MemoryStore(), processes=True)


def denied():
    yield StoreImplementation(MemoryStore(), processes=False)


async def race(make_store):
    [result] = (await check_store(make_store, only="processes/")).results
    return result.outcome, result.message


async def test_a_store_that_other_processes_do_not_find_is_not_offered_to_them():
    outcome, message = await race(MemoryStore)
    assert outcome is Outcome.UNSUPPORTED
    assert message.endswith("does not find a row inserted here")


async def test_a_store_that_cannot_be_pickled_is_not_offered_to_other_processes():
    outcome, message = await race(lambda: MemoryStore())
    assert outcome is Outcome.UNSUPPORTED
    assert "make_store cannot be handed to another process" in message


async def test_a_store_that_declines_other_processes_is_not_offered_to_them():
    assert await race(denied) == (
        Outcome.UNSUPPORTED,
        "not offered: other processes with the same data (StoreImplementation.processes)",
    )


async def test_a_store_that_declares_shared_data_must_share_it_with_other_processes():
    outcome, message = await race(promised)
    assert outcome is Outcome.FAILED
    assert "[calls.durable]" in message
    assert "does not find a row inserted here" in message


def test_a_suite_is_passed_to_other_processes_with_attributes_set_by_fixtures(pytester):
    (pytester.path / "custom_store.py").write_text((EXAMPLES / "custom_store" / "custom_store.py").read_text())
    pytester.makepyfile(
        test_mine="""
        import pytest
        from custom_store import open_store
        from notistore_conformance import NotificationStoreSuite

        class TestMine(NotificationStoreSuite):
            @pytest.fixture(autouse=True)
            def _path(self, tmp_path_factory):
                self.path = tmp_path_factory.getbasetemp() / "rows.db"

            def make_store(self):
                return open_store(str(self.path))
        """
    )
    result = run_pytest(pytester, "-v", "-k", "processes/race")
    result.assert_outcomes(passed=1, deselected=len(checks_of("store")) - 1)


async def test_what_make_store_raises_is_raised():
    @asynccontextmanager
    async def fails():
        raise RuntimeError("no database")
        yield

    with pytest.raises(RuntimeError, match="no database"):
        await check_store(fails)


async def test_what_make_store_raises_at_its_end_is_raised():
    @asynccontextmanager
    async def fails():
        yield MemoryStore()
        raise RuntimeError("connections left checked out")

    with pytest.raises(RuntimeError, match="left checked out"):
        await check_store(fails, only="get/")


async def test_context_variables_of_make_store_are_there_for_the_store():
    connection = ContextVar("connection")

    class Ambient(MemoryStore):
        async def count(self, recipient, *, types=None):
            connection.get()
            return await super().count(recipient, types=types)

    @asynccontextmanager
    async def make_store():
        connection.set("open")
        yield Ambient()

    report = await check_store(make_store, only="count/")
    assert not report.failed, str(report)


class SyncStore:
    """A MemoryStore without async, behind a lock."""

    def __init__(self):
        self._store = MemoryStore()
        self._lock = threading.Lock()


def _blocking(name):
    def method(self, *args, **kwargs):
        with self._lock:
            try:
                getattr(self._store, name)(*args, **kwargs).send(None)
            except StopIteration as answer:
                return answer.value
            raise AssertionError("a MemoryStore never waits")

    return method


for _name in METHODS:
    setattr(SyncStore, _name, _blocking(_name))


async def test_without_an_outage_or_a_reason_nothing_shows_that_errors_are_store_errors():
    report = await check_store(SyncStore, only="calls/errors")
    [result] = report.results
    assert result.outcome is Outcome.NOT_RUN
    assert "`no_outage`" in str(report)


async def test_a_synchronous_store_needs_no_wrapper():
    report = await check_store(lambda: StoreImplementation(SyncStore(), no_outage="its rows are in this process"))
    assert report.conforms, str(report)
    assert "outages waived: its rows are in this process" in report.verdict
    assert "\noutages waived: its rows are in this process [calls/errors]\n" in str(report)
    reasons = {result.message for result in report.results if result.outcome is Outcome.UNSUPPORTED}
    assert "not offered: cancelling (the store is synchronous)" in reasons


# the suite class


@pytest.mark.parametrize(
    "mode",
    [
        ["--asyncio-mode=strict"],
        ["--asyncio-mode=auto"],
        ["-p", "no:asyncio", "-p", "anyio"],
        ["-p", "no:asyncio", "-p", "no:anyio"],
        ["-n", "2"],
    ],
    ids=["asyncio strict", "asyncio auto", "anyio alone", "no async plugin", "xdist"],
)
def test_the_suite_runs_whatever_the_asyncio_plugin(pytester, mode):
    pytester.makepyfile(test_mine=SUITE)
    result = run_pytest(pytester, *mode, "-v")
    result.stdout.fnmatch_lines(["*test_mine:TestMine: CONFORMS*"])
    assert result.ret == 0
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] + outcomes["skipped"] == len(checks_of("store"))


def test_the_suite_names_each_check_and_skips_what_is_not_offered(pytester):
    pytester.makepyfile(test_mine=SUITE)
    result = run_pytest(pytester, "-v", "-rs", "-k", "schema or upsert/concurrent")
    result.stdout.fnmatch_lines(
        ["*test_conforms?upsert/concurrent? PASSED*", "*TestMine: PARTIAL*", "*SKIPPED*not offered: schema*"]
    )


def test_expected_failures_of_the_suite_are_strict(pytester):
    pytester.makepyfile(
        mine=BROKEN,
        test_mine="""
        from notistore_conformance import NotificationStoreSuite
        from mine import Broken

        class TestMine(NotificationStoreSuite):
            expected_failures = {"count/equals-page": "#12", "get/returns": "passes after all"}

            def make_store(self):
                return Broken()
        """,
    )
    result = run_pytest(pytester, "-k", "count/equals or get/returns")
    result.assert_outcomes(failed=1, xfailed=1, deselected=len(checks_of("store")) - 2)
    result.stdout.fnmatch_lines(["*get/returns: expected to fail (passes after all), yet it is passed*"])


def test_a_make_store_that_fails_is_reported_once(pytester):
    pytester.makepyfile("""
        from notistore_conformance import NotificationStoreSuite

        class TestMine(NotificationStoreSuite):
            def make_store(self):
                raise TypeError("no client was given")
    """)
    result = run_pytest(pytester)
    result.assert_outcomes(failed=1, skipped=len(checks_of("store")) - 1)
    result.stdout.fnmatch_lines(
        ["make_store could not be entered*", "*in make_store", "TypeError: no client was given"]
    )


def test_an_unknown_expected_failure_is_an_error(pytester):
    pytester.makepyfile(
        """
        from notistore_conformance import NotificationStoreSuite

        class TestMine(NotificationStoreSuite):
            expected_failures = {"no/such": "a slip of the pen"}
        """
    )
    result = run_pytest(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*expected_failures names no check of the kit: no/such*"])


# the flag


def test_the_flag_needs_no_test_file_and_writes_a_report(pytester):
    pytester.makepyfile(mine=BROKEN, test_other="def test_other(): raise AssertionError")
    result = run_pytest(pytester, "--notistore=mine:make_store", "--notistore-report=out.json")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["mine:make_store: CONFORMS*"])
    [report] = json.loads((pytester.path / "out.json").read_text())["reports"]
    assert report["conforms"] is True
    assert [found["id"] for found in report["results"]] == list(checks_of("store"))


def test_the_flag_alone_explains_what_is_missing_for_conforms(pytester):
    pytester.makepyfile(mine=BROKEN)
    result = run_pytest(pytester, "-q", "--notistore=mine:make_store", "-k", "get/")
    result.stdout.fnmatch_lines(["mine:make_store: PARTIAL*", "For CONFORMS, run every check: *"])
    result = run_pytest(pytester, "-q", "--notistore=mine:make_store", "--notistore-seconds=0")
    result.stdout.fnmatch_lines(["mine:make_store: PARTIAL*", "For CONFORMS: not one random history could be *"])


def test_a_report_that_cannot_be_written_is_a_usage_error(pytester):
    result = run_pytest(pytester, "--notistore=memory:", "--notistore-report=none/out.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--notistore-report: expected a file in a folder that exists*"])


def test_the_flag_shows_what_was_broken(pytester):
    pytester.makepyfile(mine=BROKEN)
    result = run_pytest(
        pytester,
        "--notistore=mine:Broken",
        "-n",
        "2",
        "-k",
        "count/",
        "--notistore-report=out.md",
        "--notistore-seed=5",
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*[[]count.equals-page[]] The number of rows*", "mine:Broken: DOES NOT CONFORM*"])
    written = (pytester.path / "out.md").read_text()
    assert "**DOES NOT CONFORM" in written
    assert "seed 5" in written


@pytest.mark.parametrize("mode", [["-p", "no:asyncio"], ["-p", "no:asyncio", "-p", "no:anyio"], ["-n", "2"]])
def test_the_flag_runs_whatever_the_async_plugin(pytester, mode):
    pytester.makepyfile(mine=BROKEN)
    result = run_pytest(pytester, "--notistore=mine:make_store", *mode, "--notistore-report=badge.svg", "-k", "get/")
    assert result.ret == 0
    assert "partial" in (pytester.path / "badge.svg").read_text()


def test_a_target_that_is_not_there_is_a_usage_error(pytester):
    result = run_pytest(pytester, "--notistore=nowhere:make_store")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*got 'nowhere:make_store'*installed are: *memory*"])


def test_the_plugin_imports_nothing_of_the_kit_until_it_is_asked():
    code = (
        "import sys, notistore_conformance.pytest_plugin.plugin; "
        "heavy = {'hypothesis', 'notistore_conformance.api', 'notistore_conformance.pytest_plugin.suites'}; "
        "sys.exit(bool(heavy & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


# the command line


def test_conform_prints_the_table_and_writes_the_reports(tmp_path, capsys):
    json_path, markdown_path = tmp_path / "out.json", tmp_path / "out.md"
    badge_path = tmp_path / "badge.svg"
    assert run_conform("memory:", json_path=json_path, markdown_path=markdown_path, badge_path=badge_path) == 0
    assert "notistore 1.0: conforms" in ElementTree.parse(badge_path).getroot().attrib["aria-label"]
    assert "CONFORMS" in capsys.readouterr().out
    assert json.loads(json_path.read_text())["reports"][0]["store"] == "memory:"
    assert markdown_path.read_text().startswith("## memory:")


def test_conform_fails_for_a_store_that_does_not(tmp_path, capsys, monkeypatch):
    (tmp_path / "broken_one.py").write_text(
        "from notistore import MemoryStore\n"
        "class Broken(MemoryStore):\n"
        "    async def count(self, recipient, *, types=None): return 7\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run_conform("broken_one:Broken", only="count/") == 1
    assert "[count.equals-page]" in capsys.readouterr().out


def test_conform_explains_a_wrong_target(capsys):
    assert run_conform("no-such-store") == 2
    assert "expected package.module:make_store" in capsys.readouterr().err


WRONG = """
from notistore import MemoryStore

def asks(path): return MemoryStore()
def raises(): raise ConnectionError("no database")
def gives_none(): return None

class NoMarks(MemoryStore):
    mark_unread = None

class NoGet(MemoryStore):
    get = None

class SyncGap:
    def insert(self, notification): raise AssertionError

def ends_badly():
    yield MemoryStore()
    raise RuntimeError("left checked out")
"""


@pytest.fixture
def wrong(tmp_path, monkeypatch):
    (tmp_path / "wrong_one.py").write_text(WRONG)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wrong_one", raising=False)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("asks", "cannot be called without arguments (missing a required argument: 'path')"),
        ("raises", "could not be entered, so no check can be run:\n  File"),
        ("raises", "ConnectionError: no database"),
        ("gives_none", "TypeError: expected make_store to give a store or a StoreImplementation, got None"),
    ],
)
def test_conform_explains_what_is_wrong_with_a_factory(wrong, capsys, factory, message):
    assert run_conform(f"wrong_one:{factory}") == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(("factory", "method"), [("NoMarks", "mark_unread"), ("NoGet", "get"), ("SyncGap", "upsert")])
def test_a_core_method_that_is_missing_is_named(wrong, capsys, factory, method):
    assert run_conform(f"wrong_one:{factory}", seconds=1) == 1
    printed = capsys.readouterr().out
    assert "DOES NOT CONFORM" in printed
    assert f"not offered: {method}, a core method that is missing" in printed
    assert "AttributeError" not in printed


def test_conform_reports_though_the_factory_cannot_be_left(wrong, capsys):
    assert run_conform("wrong_one:ends_badly", only="get/") == 2
    printed = capsys.readouterr()
    assert "could not be left: RuntimeError: left checked out" in printed.err
    assert "PARTIAL" in printed.out


def test_conform_shows_progress(capsys):
    assert run_conform("memory:", only="count/") == 0
    assert capsys.readouterr().err == "....\n"


@pytest.mark.parametrize(
    ("only", "message"),
    [("upserts/concurrent", "did you mean upsert/concurrent"), ("zzz", "ids begin with insert, upsert, get, page,")],
)
def test_conform_helps_with_a_selection_that_selects_nothing(capsys, only, message):
    assert run_conform("memory:", only=only) == 2
    assert message in capsys.readouterr().err


def test_conform_reports_a_file_that_cannot_be_written_before_it_runs(tmp_path, capsys):
    assert run_conform("memory:", badge_path=tmp_path / "none" / "badge.svg") == 2
    assert capsys.readouterr().err.startswith("--badge: expected a file in a folder that exists, got ")
    assert run_conform("memory:", json_path=tmp_path) == 2
    assert capsys.readouterr().err.startswith("--json: expected a file, got the folder ")


def test_conform_says_where_to_read_how_more_is_checked(capsys):
    assert run_conform("memory:", only="calls/") == 0
    assert "docs/conformance.md, What it needs of you" in capsys.readouterr().out
