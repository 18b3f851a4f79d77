"""How fast the stores are: `python -m benchmarks.stores [overhead|growth|bulk] [--write]` (docs/benchmarks/stores.md).

Prints Markdown tables; with --write they and the plots go into the page. It starts a PostgreSQL and a Redis of its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import psycopg

from ..hub.report import fill
from . import bulk, growth, overhead, plots
from .peers import Case
from .servers import Servers

ADAPTERS = ("drivers", "sqlalchemy", "tortoise", "peewee", "django", "prisma", "redis")
PARTS = ("overhead", "growth", "bulk")
PACKAGES = ("SQLAlchemy", "tortoise-orm", "peewee", "Django", "redis", "prisma", "aiosqlite", "asyncpg", "psycopg")
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "stores.md"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=PARTS, help="by default all three")
    parser.add_argument("--quick", action="store_true", help="only whether it runs: a few calls, no figures to keep")
    parser.add_argument(
        "--write", type=Path, nargs="?", const=PAGE, metavar="PAGE", help="put the tables and plots into the docs' page"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="the largest inbox for growth")
    parser.add_argument("--rounds", type=int, default=60, help="of the overhead's ten to a hundred calls each")
    parser.add_argument("--bulk", type=int, default=30_000, help="how many rows insert_many is given")
    parser.add_argument("--adapters", default=",".join(ADAPTERS), help="for overhead and bulk")
    chosen = parser.parse_args(arguments)
    cases: list[Case] = [
        case for name in chosen.adapters.split(",") for case in import_module(f"{__package__}.peers.{name}").CASES
    ]
    tables: dict[str, list[str]] = {}

    def say(part: str, line: str) -> None:
        print(line, flush=True)
        tables.setdefault(part, []).append(line)

    with Servers() as servers:
        if not chosen.quick:
            describe(servers, partial(say, "machine"))
        for part in [chosen.part] if chosen.part else PARTS:
            print(f"\n## {part}\n", flush=True)
            its = partial(say, part)
            match part:
                case "overhead":
                    measured = overhead.run(cases, servers, 2 if chosen.quick else chosen.rounds, its)
                    draw = partial(plots.overhead, measured)
                case "growth":
                    points = growth.run(servers, 1_000 if chosen.quick else chosen.rows, 2 if chosen.quick else 40, its)
                    draw = partial(plots.growth, points)
                case _:
                    bulk.run(cases, servers, 100 if chosen.quick else chosen.bulk, 1 if chosen.quick else 2, its)
                    continue
            if chosen.write:
                draw(chosen.write.with_name(f"{part}.svg"))
    if chosen.write:
        parts = {part: "\n".join(lines) for part, lines in tables.items()}
        chosen.write.write_text(fill(chosen.write.read_text(encoding="utf-8"), parts), encoding="utf-8")


def describe(servers: Servers, say: Callable[[str], None]) -> None:
    """The machine and the versions, for the page."""
    with servers.database("PostgreSQL") as url, psycopg.connect(url) as connection:
        server = connection.info.parameter_status("server_version")
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    say(f"Measured on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, {platform.system()};")
    say(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, PostgreSQL {server},")
    say(f"{packages}.")


if __name__ == "__main__":
    main()
