"""The table in docs/compatibility.md, from what the conformance kit found: `python3 dev.py compatibility`.

Without `--reports` it runs the kit on every shipped adapter first, on real servers, none skipped.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

from notistore_conformance.registry import Check, registered
from notistore_conformance.report import Outcome

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "compatibility.md"
VERSIONS: Final = "This table was last written from runs on"
COLUMNS: Final = (
    *("insert_many", "unread_counts", "prune", "erase", "schema", "bind", "push after commit"),
    *("several processes", "outage"),
)

Suite: TypeAlias = tuple[str, str, str]
"""Database, driver, and "async" or "sync"."""

Found: TypeAlias = dict[str, Any]
"""One report, as the kit writes it in JSON."""

SUITES: Final[dict[str, tuple[str, dict[str, Suite]]]] = {
    "test_sqlalchemy_conforms": (
        "SQLAlchemy",
        {
            "TestAiosqlite": ("SQLite", "aiosqlite", "async"),
            "TestSqlite3": ("SQLite", "sqlite3", "sync"),
            "TestAsyncpg": ("PostgreSQL", "asyncpg", "async"),
            "TestAsyncPsycopg": ("PostgreSQL", "psycopg", "async"),
            "TestPsycopg": ("PostgreSQL", "psycopg", "sync"),
            "TestAsyncmy": ("MariaDB", "asyncmy", "async"),
            "TestAiomysql": ("MariaDB", "aiomysql", "async"),
            "TestPyMySQL": ("MariaDB", "PyMySQL", "sync"),
        },
    ),
    "test_django.test_conforms": (
        "Django",
        {
            "TestSqliteAsync": ("SQLite", "sqlite3", "async"),
            "TestSqlite": ("SQLite", "sqlite3", "sync"),
            "TestPostgresAsync": ("PostgreSQL", "psycopg", "async"),
            "TestPostgres": ("PostgreSQL", "psycopg", "sync"),
            "TestMariaDBAsync": ("MariaDB", "PyMySQL", "async"),
            "TestMariaDB": ("MariaDB", "PyMySQL", "sync"),
        },
    ),
    "test_tortoise_conforms": (
        "Tortoise",
        {
            "TestSqlite": ("SQLite", "aiosqlite", "async"),
            "TestAsyncpg": ("PostgreSQL", "asyncpg", "async"),
            "TestPsycopg": ("PostgreSQL", "psycopg", "async"),
            "TestMariaDB": ("MariaDB", "asyncmy", "async"),
        },
    ),
    "test_peewee_conforms": (
        "Peewee",
        {
            "TestSqliteAsync": ("SQLite", "aiosqlite", "async"),
            "TestSqlite": ("SQLite", "sqlite3", "sync"),
            "TestPostgresAsync": ("PostgreSQL", "asyncpg", "async"),
            "TestPostgres": ("PostgreSQL", "psycopg", "sync"),
            "TestMariaDBAsync": ("MariaDB", "aiomysql", "async"),
            "TestMariaDB": ("MariaDB", "PyMySQL", "sync"),
        },
    ),
    "test_prisma_conforms": (
        "Prisma",
        {
            "TestSQLite": ("SQLite", "Prisma's engine", "async"),
            "TestSyncSQLite": ("SQLite", "Prisma's engine", "sync"),
            "TestPostgres": ("PostgreSQL", "Prisma's engine", "async"),
            "TestSyncPostgres": ("PostgreSQL", "Prisma's engine", "sync"),
        },
    ),
    "test_redis.test_conforms": (
        "Redis",
        {
            "TestBytesOverResp2": ("Redis", "redis-py, bytes, RESP2", "async"),
            "TestStringsOverResp3": ("Redis", "redis-py, str, RESP3", "async"),
            "TestSyncBytesOverResp3": ("Redis", "redis-py, bytes, RESP3", "sync"),
            "TestSyncStringsOverResp2": ("Redis", "redis-py, str, RESP2", "sync"),
            "TestCluster": ("Redis cluster", "redis-py", "async"),
            "TestSyncCluster": ("Redis cluster", "redis-py", "sync"),
        },
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py compatibility", description=__doc__)
    parser.add_argument(
        "--reports", nargs="+", metavar="JSON", help="what --notistore-report of a test run has written"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="fail when docs/compatibility.md has another table")
    what.add_argument("--write", action="store_true", help="put the table there")
    options = parser.parse_args()
    reports = load(map(Path, options.reports)) if options.reports else found_now()
    table = make_table(reports)
    page = PAGE.read_text(encoding="utf-8")
    wanted = re.sub(r"(?m)^\| adapter .*\n(\|.*\n)*", lambda _: table, page)
    if options.write:
        # Not compared by --check: other machines have other versions, and the table holds on them too.
        wanted = re.sub(rf"(?m)^{VERSIONS}.*\n", lambda _: f"{VERSIONS} {versions(reports)}.\n", wanted)
        PAGE.write_text(wanted, encoding="utf-8")
    elif options.check:
        sys.stdout.writelines(difflib.unified_diff(page.splitlines(True), wanted.splitlines(True), PAGE.name, "found"))
        if page != wanted:
            print("\ndocs/compatibility.md is out of date: python3 dev.py compatibility --write")
            return 1
    else:
        print(table, end="")
    return 0


def found_now() -> list[Found]:
    """Run the kit on every adapter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reports.json")
        command = [sys.executable, "-m", "pytest", "-n", "2", "tests/adapters", "-k", "conforms", "--require-services"]
        subprocess.run([*command, f"--notistore-report={path}"], cwd=ROOT, check=False, stdout=sys.stderr)
        return load([path])


def load(paths: Iterable[Path]) -> list[Found]:
    """What test runs found; a file that `--notistore-report` has written holds many reports."""
    return [report for path in paths for report in json.loads(path.read_text(encoding="utf-8"))["reports"]]


def make_table(reports: Iterable[Found]) -> str:
    """One line per adapter, database, driver and colour; exits when one of them was not run, or is not known here."""
    found = {report["store"]: report for report in reports if report["store"].startswith("tests.adapters.")}
    named = {
        f"tests.adapters.{module}:{name}": (adapter, *suite)
        for module, (adapter, suites) in SUITES.items()
        for name, suite in suites.items()
    }
    if found.keys() != named.keys():
        sys.exit(
            f"not run: {', '.join(sorted(named.keys() - found.keys())) or 'none'}; "
            f"not named in {Path(__file__).name}: {', '.join(sorted(found.keys() - named.keys())) or 'none'}"
        )
    rows = [("adapter", "database", "driver", "calls", "verdict", *COLUMNS)]
    for store, told in named.items():
        report = found[store]
        rows.append((*told, report["verdict"].partition(" (")[0], *_offered(report)))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:], ""])


def versions(reports: Iterable[Found]) -> str:
    """The versions of the databases, as they named themselves, and of the kit."""
    shipped = [report for report in reports if report["store"].startswith("tests.adapters.")]
    found = {report["backend"] for report in shipped} | {f"notistore {report['kit']}" for report in shipped}
    if None in found:
        sys.exit(f"no backend is named by {', '.join(r['store'] for r in shipped if r['backend'] is None)}")
    return ", ".join(sorted(found))


def _offered(report: Found) -> list[str]:
    checks = registered()
    outcomes: dict[str, set[str]] = {column: set() for column in COLUMNS}
    for result in report["results"]:
        if (column := _column(checks[result["id"]])) is not None:
            outcomes[column].add(result["outcome"])
    return [_told(outcomes[column]) for column in COLUMNS]


def _column(check: Check) -> str | None:
    if "bind.after-commit" in check.clauses:
        return "push after commit"
    return {"processes/race": "several processes", "calls/errors": "outage"}.get(check.id, check.part)


def _told(outcomes: set[str]) -> str:
    if outcomes == {Outcome.PASSED}:
        return "yes"
    return "-" if outcomes == {Outcome.UNSUPPORTED} else ", ".join(sorted(outcomes)) or "not run"


if __name__ == "__main__":
    sys.exit(main())
