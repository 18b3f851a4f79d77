"""The backplane kit on a correct backplane in memory, and on variants that each break one promise."""

import json
import re
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from notistore_conformance import BackplaneImplementation, BackplaneSuite, Outcome, check_backplane
from notistore_conformance.backplane import BackplaneRunner
from notistore_conformance.clauses import BACKPLANE_CLAUSES, UNCHECKABLE
from notistore_conformance.registry import checks_of

from .broken_backplanes import BROKEN, CAUGHT_BY_MORE, FoldsKeys, InProcessServer, MemoryBackplane, factory
from .faulty_backplanes import FAULTS, PASSES

pytest_plugins = ["pytester"]

BACKPLANE_CHECKS = checks_of("backplane")

MINE = """
    from tests.conformance.broken_backplanes import FoldsKeys, MemoryBackplane, factory

    make_backplane = factory(MemoryBackplane)
    make_folding = factory(FoldsKeys)
"""


KIT = "notistore_conformance.backplane"
LIMITS = {f"{KIT}.context._ARRIVAL": 2.0, f"{KIT}.context._SECONDS": 4.0, f"{KIT}.context._RETURN": 8.0}
PAUSES = {
    f"{KIT}.context._QUIET": 0.1,
    f"{KIT}.checks._LONG_OUTAGE": 0.6,
    "notistore.hub.backplane._BACKOFF": (0.01, 0.02, 0.05, 0.1, 0.2),
}


@pytest.fixture
def short_timeouts(monkeypatch):
    for name, seconds in {**LIMITS, **PAUSES}.items():
        monkeypatch.setattr(name, seconds)


def caught(report):
    return [result.id for result in report.failed]


def test_every_check_has_a_broken_backplane_that_only_it_catches():
    assert set(BROKEN.values()) == BACKPLANE_CHECKS.keys()


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
async def test_a_broken_backplane_is_caught_by_its_check_alone(kind, short_timeouts):
    report = await check_backplane(factory(kind))
    assert caught(report) == [BROKEN[kind]], str(report)
    [failed] = report.failed
    assert any(f"promised:\n    [{clause}]" in failed.message for clause in failed.clauses), failed.message


@pytest.mark.parametrize("kind", CAUGHT_BY_MORE, ids=lambda kind: kind.__name__)
async def test_a_broken_backplane_is_caught_by_its_check(kind, short_timeouts):
    report = await check_backplane(factory(kind), only=CAUGHT_BY_MORE[kind])
    assert caught(report) == [CAUGHT_BY_MORE[kind]], str(report)


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_a_backplane_with_a_fault_is_caught_by_a_check_of_the_promise_it_breaks(kind, short_timeouts, monkeypatch):
    for name, seconds in LIMITS.items():
        monkeypatch.setattr(name, seconds / 2)
    checks = [check for check in BACKPLANE_CHECKS.values() if FAULTS[kind] in check.clauses]
    with BackplaneRunner(factory(kind)) as runner:
        caught = any(runner.run(check).outcome is Outcome.FAILED for check in checks)
    assert caught is (kind not in PASSES), PASSES.get(kind, "no check fails")


def test_every_clause_has_a_check_or_a_reason_why_not():
    cited = {clause for check in BACKPLANE_CHECKS.values() for clause in check.clauses}
    assert cited == BACKPLANE_CLAUSES.keys() - UNCHECKABLE.keys()


async def test_a_correct_backplane_conforms():
    report = await check_backplane(factory(MemoryBackplane), name="memory")
    assert report.verdict == f"CONFORMS ({len(checks_of('backplane'))} passed)", str(report)
    assert json.loads(report.to_json())["kind"] == "backplane"
    assert report.about.backend == "memory"


async def test_what_a_factory_cannot_do_is_not_offered():
    server = InProcessServer()
    report = await check_backplane(lambda: MemoryBackplane(server))
    assert report.conforms, str(report)
    not_offered = {result.id for result in report.results if result.outcome is Outcome.UNSUPPORTED}
    assert len(not_offered) == 6
    assert "a way to cut it off from its server (BackplaneImplementation.outage)" in str(report)


async def test_expected_failures_are_strict(short_timeouts):
    expected = {"backplane/keys": "no case yet, #7", "backplane/once": "but it does"}
    report = await check_backplane(factory(FoldsKeys), expected_failures=expected, only="backplane/")
    outcomes = {result.id: result.outcome for result in report.results}
    assert outcomes["backplane/keys"] is Outcome.EXPECTED
    assert outcomes["backplane/once"] is Outcome.FAILED
    with pytest.raises(ValueError, match="names no check of the kit: count/unread"):
        await check_backplane(factory(FoldsKeys), expected_failures={"count/unread": "a store's"})


async def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"expected make_backplane to give a backplane.*got 42"):
        await check_backplane(lambda: 42)


async def test_the_suite_of_the_page_is_one():
    page = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
    [suite] = re.findall(r"```python\n(class TestYourBackplane.*?)```", page, re.DOTALL)

    class Server(InProcessServer):
        def kill(self):
            self.stopped = self.outage()
            self.stopped.__enter__()

        def start(self):
            self.stopped.__exit__(None, None, None)

    @asynccontextmanager
    async def connect(url):
        yield url

    server = Server()
    names = {"connect": connect, "YourBackplane": MemoryBackplane, "URL": server, "server": server}
    names |= {"BackplaneSuite": BackplaneSuite, "BackplaneImplementation": BackplaneImplementation}
    names["asynccontextmanager"] = asynccontextmanager
    exec(suite, names)
    report = await check_backplane(names["TestYourBackplane"]().make_backplane)
    assert report.conforms, str(report)
    assert [result.id for result in report.results if result.outcome is Outcome.UNSUPPORTED] == ["backplane/half-open"]
    assert report.about.backend == "NATS 2.10"


class TestSuite(BackplaneSuite):
    """The class."""

    server = InProcessServer()

    def make_backplane(self):
        yield MemoryBackplane(self.server)


def test_expected_failures_of_the_suite_are_of_its_own_checks(pytester):
    pytester.makepyfile(
        """
        from notistore_conformance import BackplaneSuite
        from tests.conformance.broken_backplanes import FoldsKeys, factory

        class TestMine(BackplaneSuite):
            expected_failures = {"backplane/keys": "#7"}
            make = factory(FoldsKeys)

            def make_backplane(self):
                return type(self).make()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-k", "keys", timeout=120)
    result.assert_outcomes(passed=1, xfailed=1, deselected=len(BACKPLANE_CHECKS) - 2)


def test_the_flag_checks_a_backplane_and_a_store_in_one_run(pytester):
    pytester.makepyfile(mine=MINE)
    result = pytester.runpytest_subprocess(
        *("-p", "no:cacheprovider", "--notistore-backplane=mine:make_backplane", "--notistore=memory:"),
        *("-k", "backplane/keys or get/", "--notistore-report=out.json", "--notistore-badge=out.svg"),
        timeout=120,
    )
    result.stdout.fnmatch_lines(["mine:make_backplane: PARTIAL (1 passed*"])
    assert result.ret == 0
    reports = json.loads((pytester.path / "out.json").read_text())["reports"]
    assert {report["kind"] for report in reports} == {"store", "backplane"}
    assert "notistore store, backplane 1.0: partial" in (pytester.path / "out.svg").read_text()


def test_the_command_line_checks_a_backplane(pytester, monkeypatch, capsys):
    from notistore.cli import main

    pytester.makepyfile(mine=MINE)
    pytester.syspathinsert()
    assert main(["conform", "--backplane", "mine:make_backplane", "--only", "backplane/keys"]) == 0
    assert main(["conform", "--backplane", "mine:make_folding", "--only", "backplane/keys"]) == 1
    assert "[delivery.keys]" in capsys.readouterr().out
    assert main(["conform", "--backplane", "memory:"]) == 2
    assert "expected package.module:make_backplane" in capsys.readouterr().err
