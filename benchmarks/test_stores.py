"""The benchmarks run, and what they compare does the same. No figure is looked at: a test machine has other work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("part", "lines"),
    [
        ("overhead", ["SQLAlchemy, asyncpg", "Tortoise ORM, asyncpg", "Peewee, psycopg", "Django, psycopg", "Redis"]),
        ("growth", ["SQLite, ms", "PostgreSQL, ms", "1,000 (200)"]),
        ("bulk", ["SQLAlchemy, asyncpg", "Tortoise ORM, asyncpg", "Peewee, psycopg", "Django, psycopg", "Redis"]),
    ],
)
def test_a_quick_run_of_the_stores_benchmark(
    part: str, lines: list[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    page = tmp_path / "stores.md"
    shutil.copy(ROOT / "docs" / "benchmarks" / "stores.md", page)
    command = [sys.executable, "-W", "error", "-m", "benchmarks.stores", part, "--quick", "--write", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    if "tools.servers.Missing: " in done.stderr:
        unmet = pytest.fail if request.config.getoption("--require-services") else pytest.skip
        unmet(done.stderr.rpartition("tools.servers.Missing: ")[2].strip())
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    table = page.read_text().partition(f"<!-- {part} -->\n")[2].partition(f"<!-- /{part} -->")[0]
    assert [line for line in lines if line not in table] == []
    assert table.strip() in done.stdout
