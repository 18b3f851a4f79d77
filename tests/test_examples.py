"""Each adapter's short example: a file that runs as it is, and the same text in "Which adapter should I choose?"."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
ADAPTERS = {
    "sqlalchemy": "with_sqlalchemy.py",
    "django": "short_django.py",
    "tortoise": "short_tortoise.py",
    "peewee": "with_peewee.py",
    "prisma": "with_prisma/main.py",  # which tests/adapters/test_prisma_example.py runs
    "redis": "with_redis.py",
}


def run(name: str, folder: Path, *arguments: str) -> list[str]:
    """The output of the example, run in an empty folder and with every warning an error."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_each_adapter_has_one_and_a_page_of_its_own() -> None:
    shipped = {path.name.removeprefix("notistore_") for path in (ROOT / "adapters").glob("*") if path.is_dir()}
    drivers = {"sqlite", "asyncpg", "psycopg"}  # which share a page, docs/adapters/drivers.md
    assert shipped - drivers - {"postgres"} == ADAPTERS.keys()  # that one is a backplane, not a store
    assert {path.stem for path in (ROOT / "docs" / "adapters").glob("*.md")} == {"README", "drivers", *ADAPTERS}


@pytest.mark.parametrize("name", ADAPTERS.values())
def test_the_page_shows_the_file_and_it_is_short(name: str) -> None:
    page = (ROOT / "docs" / "adapters" / "README.md").read_text(encoding="utf-8")
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    [shown] = re.findall(rf"\(../../examples/{name}\)\n\n```python\n(.*?)```\n", page, re.DOTALL)
    assert shown == text
    assert sum(1 for line in text.splitlines() if line.strip()) <= 25


@pytest.mark.parametrize("name", ["with_sqlalchemy.py", "short_django.py", "short_tortoise.py"])
def test_an_order_and_its_notification_commit_together(name: str, tmp_path: Path) -> None:
    assert run(name, tmp_path) == ["order.placed {'order_id': 1} unread"]


def test_peewee_s(tmp_path: Path) -> None:
    assert run("with_peewee.py", tmp_path) == ["1 unread: [{'order_id': 1}]"]


def test_redis_s(redis_url: str, tmp_path: Path) -> None:
    assert run("with_redis.py", tmp_path, redis_url) == [
        "export.progress {'progress': 100} version 3 unread",
        "invoice.paid {'invoice_id': 7} version 1 unread",
        "2 marked, 0 unread",
        "2 deleted",
    ]
