"""The compatibility table says what was found, and no line of it can go missing."""

from __future__ import annotations

from typing import Any

import pytest

from notistore_conformance.registry import registered

from .compatibility import COLUMNS, PAGE, SUITES, VERSIONS, make_table, versions

STORES = [f"tests.adapters.{module}:{name}" for module, (_, suites) in SUITES.items() for name in suites]


def report(store: str, *, verdict: str = "CONFORMS (all)", **outcomes: str) -> dict[str, Any]:
    """One whose checks of the parts in `outcomes` ended so, and all others well."""
    results = [
        {"id": check.id, "outcome": outcomes.get(check.part or "core", "passed")} for check in registered().values()
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
    told = dict.fromkeys(COLUMNS, "yes") | {"prune": "failed", "erase": "-"}
    assert lines[2].endswith(f"| DOES NOT CONFORM | {' | '.join(told.values())} |")
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
