"""The tables in docs/compatibility.md, from the conformance kit's reports: `python3 dev.py compatibility`.

Without `--reports` it runs the kit on every shipped adapter and every framework's example first, on real servers, none
skipped.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

from notistore_conformance.registry import Check, checks_of
from notistore_conformance.reports.report import Outcome

from .frameworks.examples import EXAMPLES

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "compatibility.md"
VERSIONS: Final = "This table was last written from runs on"
FRAMEWORK_VERSIONS: Final = "The frameworks' table was last written from runs on"
COLUMNS: Final = (
    *("insert_many", "unread_counts", "prune", "erase", "schema", "bind", "publish after commit"),
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
    "test_sqlite_conforms": (
        "no ORM",
        {
            "TestAsync": ("SQLite", "sqlite3", "async"),
            "TestSync": ("SQLite", "sqlite3", "sync"),
        },
    ),
    "test_asyncpg_conforms": ("no ORM", {"TestAsyncpg": ("PostgreSQL", "asyncpg", "async")}),
    "test_psycopg_conforms": (
        "no ORM",
        {
            "TestAsync": ("PostgreSQL", "psycopg", "async"),
            "TestSync": ("PostgreSQL", "psycopg", "sync"),
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
    what.add_argument("--check", action="store_true", help="fail when docs/compatibility.md has other tables")
    what.add_argument("--write", action="store_true", help="put the tables there")
    options = parser.parse_args()
    reports = load(map(Path, options.reports)) if options.reports else run_kit()
    tables = {"adapter": make_table(reports), "framework": make_frameworks_table(reports)}
    page = wanted = PAGE.read_text(encoding="utf-8")
    for first, table in tables.items():
        wanted = re.sub(rf"(?m)^\| {first} .*\n(\|.*\n)*", lambda _, table=table: table, wanted)
    if options.write:
        # Not compared by --check: other machines have other versions, and the tables hold on them too.
        for says, found in {VERSIONS: versions(reports), FRAMEWORK_VERSIONS: framework_versions(reports)}.items():
            line = f"{says} {found}.\n"
            wanted = re.sub(rf"(?m)^{says}.*\n", lambda _, line=line: line, wanted)
        PAGE.write_text(wanted, encoding="utf-8")
    elif options.check:
        sys.stdout.writelines(difflib.unified_diff(page.splitlines(True), wanted.splitlines(True), PAGE.name, "found"))
        if page != wanted:
            print("\ndocs/compatibility.md is out of date: python3 dev.py compatibility --write")
            return 1
    else:
        print(*tables.values(), sep="\n", end="")
    return 0


def run_kit() -> list[Found]:
    """Run the kit on every adapter and every framework's example."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reports.json")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            "2",
            "tests/adapters",
            "tests/frameworks",
            "-k",
            "conforms",
            "--require-services",
        ]
        subprocess.run(
            [*command, "--require-services", f"--notistore-report={path}"], cwd=ROOT, check=False, stdout=sys.stderr
        )
        return load([path])


def load(paths: Iterable[Path]) -> list[Found]:
    """What test runs found; a file that `--notistore-report` has written holds many reports."""
    return [report for path in paths for report in json.loads(path.read_text(encoding="utf-8"))["reports"]]


def make_table(reports: Iterable[Found]) -> str:
    """One line per adapter, database, driver and kind of call; exits when one was not run or is not in SUITES."""
    found = {report["store"]: report for report in reports if report["store"].startswith("tests.adapters.")}
    named = {
        f"tests.adapters.{module}:{name}": (adapter, *suite)
        for module, (adapter, suites) in SUITES.items()
        for name, suite in suites.items()
    }
    _same(found.keys(), named.keys(), where=Path(__file__).name)
    rows = [("adapter", "database", "driver", "calls", "verdict", *COLUMNS)]
    for store, names in named.items():
        report = found[store]
        rows.append((*names, report["verdict"].partition(" (")[0], *_offered(report)))
    return _markdown(rows)


def make_frameworks_table(reports: Iterable[Found]) -> str:
    """One line per example and server; exits when one was not run or is not in EXAMPLES."""
    found = {report["store"]: report for report in _of_frameworks(reports)}
    _same(found.keys(), {str(example) for example in EXAMPLES}, where="examples/frameworks")
    rows = [("framework", "server", "served by", "event stream", "WebSocket", "verdict")]
    for example in EXAMPLES:
        stream = "polls" if example.polls else "live"
        socket = "yes" if example.websocket else "-"
        verdict = found[str(example)]["verdict"].partition(" (")[0]
        rows.append((example.framework, example.server, f"`{example.mount}`", stream, socket, verdict))
    return _markdown(rows)


def _of_frameworks(reports: Iterable[Found]) -> list[Found]:
    return [report for report in reports if report["store"].startswith("examples/frameworks/")]


def _same(found: Collection[str], named: Collection[str], *, where: str) -> None:
    if set(found) != set(named):
        sys.exit(
            f"not run: {', '.join(sorted(set(named) - set(found))) or 'none'}; "
            f"not named in {where}: {', '.join(sorted(set(found) - set(named))) or 'none'}"
        )


def _markdown(rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:], ""])


def framework_versions(reports: Iterable[Found]) -> str:
    """The versions of the frameworks and the servers."""
    found = {part for report in _of_frameworks(reports) for part in report["backend"].split(", ")}
    return ", ".join(sorted(found, key=str.lower))


def versions(reports: Iterable[Found]) -> str:
    """The versions of the databases, as they report them, and of the kit."""
    shipped = [report for report in reports if report["store"].startswith("tests.adapters.")]
    found = {report["backend"] for report in shipped} | {f"notistore {report['kit']}" for report in shipped}
    if None in found:
        sys.exit(f"no backend is named by {', '.join(r['store'] for r in shipped if r['backend'] is None)}")
    return ", ".join(sorted(found))


def _offered(report: Found) -> list[str]:
    checks = checks_of("store")
    outcomes: dict[str, set[str]] = {column: set() for column in COLUMNS}
    for result in report["results"]:
        if (column := _column(checks[result["id"]])) is not None:
            outcomes[column].add(result["outcome"])
    return [_cell(outcomes[column]) for column in COLUMNS]


def _column(check: Check) -> str | None:
    if "bind.after-commit" in check.clauses:
        return "publish after commit"
    return {"processes/race": "several processes", "calls/errors": "outage"}.get(check.id, check.part)


def _cell(outcomes: set[str]) -> str:
    if outcomes == {Outcome.PASSED}:
        return "yes"
    return (
        "-"
        if outcomes and outcomes <= {Outcome.UNSUPPORTED, Outcome.WAIVED}
        else ", ".join(sorted(outcomes)) or "not run"
    )


if __name__ == "__main__":
    sys.exit(main())
