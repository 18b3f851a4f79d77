"""How fast the stores are: `python -m benchmarks.stores [overhead|growth|bulk] [--quick]` (docs/benchmarks/stores.md).

Prints Markdown, and draws what is whole into docs/benchmarks/, unless --quick. It starts its own PostgreSQL and Redis.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import psycopg

from . import bulk, growth, overhead, plots
from .peers import Case
from .servers import Servers

ADAPTERS = ("sqlalchemy", "tortoise", "peewee", "django", "prisma", "redis")
PARTS = ("overhead", "growth", "bulk")
PACKAGES = ("SQLAlchemy", "tortoise-orm", "peewee", "Django", "redis", "prisma", "aiosqlite", "asyncpg", "psycopg")
PICTURES = Path(__file__).parents[2] / "docs" / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=PARTS, help="by default all three")
    parser.add_argument("--quick", action="store_true", help="only whether it runs: a few calls, no figures to keep")
    parser.add_argument("--rows", type=int, default=1_000_000, help="the largest inbox for growth")
    parser.add_argument("--rounds", type=int, default=100, help="of the overhead's ten calls each")
    parser.add_argument("--adapters", default=",".join(ADAPTERS), help="for overhead and bulk")
    chosen = parser.parse_args(arguments)
    parts = [chosen.part] if chosen.part else PARTS
    cases: list[Case] = [
        case for name in chosen.adapters.split(",") for case in import_module(f"{__package__}.peers.{name}").CASES
    ]
    with Servers() as servers:
        if not chosen.quick:
            describe(servers)
        if "overhead" in parts:
            measured = overhead.run(cases, servers, 2 if chosen.quick else chosen.rounds)
            if not chosen.quick and set(chosen.adapters.split(",")) == set(ADAPTERS):
                plots.overhead(measured, PICTURES / "overhead.svg")
        if "growth" in parts:
            points = growth.run(servers, 1_000 if chosen.quick else chosen.rows, 2 if chosen.quick else 40)
            if not chosen.quick:
                plots.growth(points, PICTURES / "growth.svg")
        if "bulk" in parts:
            bulk.run(cases, servers, 100 if chosen.quick else 100_000, 1 if chosen.quick else 2)


def describe(servers: Servers) -> None:
    """The machine and the versions, for the page."""
    with servers.database("PostgreSQL") as url, psycopg.connect(url) as connection:
        server = connection.info.parameter_status("server_version")
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, {platform.system()}")
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, PostgreSQL {server}, {packages}")


if __name__ == "__main__":
    main()
