"""The compatibility tables show the reports' results, and a missing report is an error."""

from __future__ import annotations

import re
from typing import Any

import pytest

from notistore_conformance.registry import checks_of

from .compatibility import (
    COLUMNS,
    FRAMEWORK_VERSIONS,
    PAGE,
    SUITES,
    VERSIONS,
    framework_versions,
    make_frameworks_table,
    make_table,
    versions,
)
from .frameworks.examples import EXAMPLES

STORES = [f"tests.adapters.{module}:{name}" for module, (_, suites) in SUITES.items() for name in suites]


def report(store: str, *, verdict: str = "CONFORMS (all)", **outcomes: str) -> dict[str, Any]:
    """A report in which the checks of these parts have these outcomes, and all others passed."""
    results = [
        {"id": check.id, "outcome": outcomes.get(check.part or "core", "passed")}
        for check in checks_of("store").values()
    ]
    return {"store": store, "verdict": verdict, "results": results, "backend": "SQLite 3.46.1", "kit": "0.1.0"}


def test_each_suite_is_a_line_with_its_verdict_and_parts() -> None:
    first, *others = STORES
    lines = make_table(
        [
            report(first, verdict="DOES NOT CONFORM (1 failed)", prune="failed", erase="unsupported"),
            *map(report, others),
            report("somebody.elses:Suite", verdict="PARTIAL"),
        ]
    ).splitlines()
    assert len(lines) == 2 + len(STORES)
    cells = dict.fromkeys(COLUMNS, "yes") | {"prune": "failed", "erase": "-"}
    assert lines[2].endswith(f"| DOES NOT CONFORM | {' | '.join(cells.values())} |")
    assert all(line.endswith("| CONFORMS" + " | yes" * len(COLUMNS) + " |") for line in lines[3:])


def test_a_suite_that_was_not_run_and_one_that_is_not_named_are_errors() -> None:
    reports = [report(store) for store in (*STORES[1:], "tests.adapters.test_new:TestNew")]
    with pytest.raises(SystemExit, match=f"not run: {STORES[0]}; .*: tests.adapters.test_new:TestNew"):
        make_table(reports)


def test_the_versions_are_those_of_the_databases_and_the_kit() -> None:
    first, *others = map(report, STORES)
    assert versions([first | {"backend": "Redis 8.0"}, *others]) == "Redis 8.0, SQLite 3.46.1, notistore 0.1.0"
    with pytest.raises(SystemExit, match=f"no backend is named by {STORES[0]}"):
        versions([first | {"backend": None}, *others])
    assert f"\n{VERSIONS} " in PAGE.read_text(encoding="utf-8")


def test_each_framework_s_example_is_a_line() -> None:
    first, *others = EXAMPLES
    verdicts = {str(first): "DOES NOT CONFORM (1 failed)"} | {str(example): "CONFORMS (all)" for example in others}
    reports = [
        {"store": store, "verdict": verdict, "backend": f"Framework {number % 2}, server 9"}
        for number, (store, verdict) in enumerate(verdicts.items())
    ]
    lines = make_frameworks_table([*reports, report("tests.adapters.test_new:TestNew")]).splitlines()
    assert len(lines) == 2 + len(EXAMPLES)
    assert lines[2].startswith(f"| {first.framework} | {first.server} | `{first.mount}` | ")
    assert [line.rpartition(" | ")[2] for line in lines[2:]] == ["DOES NOT CONFORM |", *["CONFORMS |"] * len(others)]
    assert framework_versions(reports) == "Framework 0, Framework 1, server 9"
    assert f"\n{FRAMEWORK_VERSIONS} " in PAGE.read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match=f"not run: {re.escape(str(first))}; .*: none"):
        make_frameworks_table(reports[1:])
