"""The kit's reports: JSON of a documented shape, Markdown and badges."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from notistore_conformance import About, Outcome, Report, Result
from notistore_conformance.reports.badge import badge
from notistore_conformance.reports.report import FORMAT, dump_json, write

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")


def result(outcome=Outcome.PASSED, id="get/returns", message=""):
    return Result(id, "A title | with a bar", ("get.returns",), outcome, message, 0.25)


def report(*outcomes, kind="store", contract="1.0", checks=None):
    results = [result(outcome, f"get/{n}", f"{outcome}: why\nmore") for n, outcome in enumerate(outcomes)]
    about = About("mine:make", "quick", contract, "0.1.0", "mine 2.0", "SQLite 3.46", 7, kind)
    return Report(about, results, len(results) if checks is None else checks)


def said(*reports):
    return tuple(ElementTree.fromstring(badge(reports)).attrib["aria-label"].rsplit(": ", 1))


# JSON


def test_the_json_has_the_shape_that_the_page_gives():
    [example] = re.findall(r"```json\n(.*?)```", PAGE.partition("### The JSON")[2], re.DOTALL)
    documented = json.loads(example)
    written = json.loads(dump_json([report(Outcome.PASSED)]))
    assert (documented["format"], written["format"]) == (FORMAT, FORMAT)
    [shown], [found] = documented["reports"], written["reports"]
    assert list(found) == list(shown)
    assert list(found["counts"]) == list(shown["counts"])
    [check] = found["results"]
    assert list(check) == list(shown["results"][0])
    kinds = {name: type(value) for name, value in shown.items()}
    assert {name: type(value) for name, value in found.items()} == kinds


def test_the_totals_count_every_check_once():
    made = report(Outcome.PASSED, Outcome.UNSUPPORTED, Outcome.NOT_RUN, checks=5).to_dict()
    assert made["counts"] == {
        **dict.fromkeys(map(str, Outcome), 0),
        "passed": 1,
        "unsupported": 1,
        "not run": 1,
        "not selected": 2,
    }
    assert made["seconds"] == 0.75
    assert sum(made["counts"].values()) == made["checks"]


def test_a_result_read_back_is_the_same():
    original = result(Outcome.NOT_RUN, message="no Hypothesis")
    assert Result.from_dict(json.loads(json.dumps(original.to_dict()))) == original


# Markdown


def test_markdown_shows_versions_totals_and_failures():
    made = report(Outcome.PASSED, Outcome.FAILED, Outcome.UNSUPPORTED, checks=4)
    text = made.to_markdown()
    assert text.startswith("## mine:make\n\n**DOES NOT CONFORM (1 passed, 1 failed, 1 unsupported, 1 not selected)**\n")
    assert "contract 1.0, kit 0.1.0, mine 2.0, SQLite 3.46, quick profile, seed 7, 3 of 4 checks in 0.8 s" in text
    assert "| `get/2` | A title \\| with a bar | get.returns | unsupported: unsupported: why | 0.25 |" in text
    assert text.endswith("### get/1\n\n```text\nfailed: why\nmore\n```\n")


def test_markdown_fences_what_holds_fences():
    failed = Report(report().about, [result(Outcome.FAILED, message="````\n")], 1)
    assert "\n`````text\n" in failed.to_markdown()


# Badges


@pytest.mark.parametrize(
    ("reports", "label", "message"),
    [
        ([report(Outcome.PASSED, Outcome.UNSUPPORTED)], "notistore 1.0", "conforms"),
        ([report(Outcome.PASSED, checks=2)], "notistore 1.0", "partial"),
        ([report(Outcome.PASSED, Outcome.NOT_RUN)], "notistore 1.0", "partial"),
        ([report(checks=2)], "notistore 1.0", "partial"),
        ([report(Outcome.EXPECTED)], "notistore 1.0", "does not conform"),
        ([report(Outcome.MISSING)], "notistore 1.0", "does not conform"),
        ([report(Outcome.PASSED), report(Outcome.PASSED, checks=2)], "notistore 1.0", "partial"),
        ([report(Outcome.PASSED, checks=2), report(Outcome.FAILED)], "notistore 1.0", "does not conform"),
        ([report(Outcome.PASSED, kind="backplane")], "notistore backplane 1.0", "conforms"),
        ([report(Outcome.PASSED, kind="web")], "notistore web 1.0", "conforms"),
        ([report(Outcome.PASSED), report(Outcome.PASSED, kind="web")], "notistore store, web 1.0", "conforms"),
        (
            [report(Outcome.PASSED, contract="1.10"), report(Outcome.PASSED, contract="1.9")],
            "notistore 1.9",
            "conforms",
        ),
        ([], "notistore", "nothing was run"),
    ],
)
def test_a_badge_shows_the_worst_verdict_and_of_which_kit(reports, label, message):
    assert said(*reports) == (label, message)


def test_files_are_written_as_their_names_end(tmp_path):
    for name, begins in (("out.json", "{"), ("out.md", "## mine:make"), ("out.svg", "<svg")):
        write([report(Outcome.PASSED)], tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


def test_a_run_without_checks_leaves_no_badge_of_an_earlier_one(pytester):
    pytester.makepyfile("def test_other(): pass")
    Path(pytester.path, "badge.svg").write_text(badge([report(Outcome.PASSED)]))
    result = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "--notistore-badge=badge.svg", "--notistore-report=report.svg", timeout=60
    )
    assert result.ret == 0
    for name in ("badge.svg", "report.svg"):
        assert "nothing was run" in (pytester.path / name).read_text()


# Never more than was run


def run_pytest(pytester, *args):
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *args, "--notistore-report=out.json", timeout=120)
    return result, json.loads((pytester.path / "out.json").read_text())["reports"]


def test_a_suite_that_could_not_be_entered_is_in_the_report(pytester):
    pytester.makepyfile("""
        from notistore_conformance import NotificationStoreSuite

        class TestMine(NotificationStoreSuite):
            def make_store(self):
                raise TypeError("no client was given")
    """)
    _, [found] = run_pytest(pytester)
    assert found["verdict"].startswith("DOES NOT CONFORM (1 failed")
    assert found["counts"]["not run"] == found["checks"] - 1
    assert "TypeError: no client was given" in found["results"][0]["message"]


def test_a_check_that_failed_before_it_passed_has_failed(pytester):
    pytester.makeconftest("""
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for attempt in range(2):
                for report in runtestprotocol(item, nextitem=nextitem, log=False):
                    item.ihook.pytest_runtest_logreport(report=report)
            return True
    """)
    pytester.makepyfile("""
        from notistore import MemoryStore
        from notistore_conformance import NotificationStoreSuite

        class Flaky(MemoryStore):
            calls = 0

            async def get(self, recipient, id):
                Flaky.calls += 1
                return None if Flaky.calls == 1 else await super().get(recipient, id)

        class TestMine(NotificationStoreSuite):
            store = Flaky()

            def make_store(self):
                return self.store
    """)
    _, reports = run_pytest(pytester, "-k", "get/returns")
    [found] = reports
    assert [check["outcome"] for check in found["results"]] == ["failed"]
