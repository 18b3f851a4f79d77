"""Stores from a URL, as the command line opens them, in processes of their own: Django is configured once in each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from notistore.errors import InvalidArgument
from notistore_django.open_url import database, open_store

PROGRAM = """
import asyncio, sys
from notistore import Inbox, Recipient
from notistore_django import open_store

async def main():
    for url in sys.argv[1:]:
        async with open_store(url) as store:
            inbox = Inbox(store)
            await inbox.send(Recipient("ada"), "t")
            print(await inbox.count(Recipient("ada")))

asyncio.run(main())
"""
SETTINGS = """
INSTALLED_APPS = ["notistore_django"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "project.db"}}
"""


def run(folder: Path, *urls: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *urls],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


def test_each_url_is_a_store_of_its_own_and_its_rows_stay(tmp_path: Path) -> None:
    one, two = "sqlite:///one.db", f"sqlite:///{tmp_path / 'two.db'}"
    assert run(tmp_path, one, two, one) == ["1", "1", "2"]
    assert run(tmp_path, two) == ["2"]


def test_servers_are_opened_too(tmp_path: Path, empty_postgres_url: str, empty_mariadb_url: str) -> None:
    assert run(tmp_path, empty_postgres_url, empty_mariadb_url) == ["1", "1"]


def test_an_alias_is_a_database_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text(SETTINGS)
    assert run(tmp_path, "default", "default", DJANGO_SETTINGS_MODULE="project", PYTHONPATH=".") == ["1", "2"]


def test_credentials_in_a_url_are_unescaped() -> None:
    assert database("postgresql://u%40:p%2F@db.internal:5433/app") == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "app",
        "USER": "u@",
        "PASSWORD": "p/",
        "HOST": "db.internal",
        "PORT": "5433",
    }


@pytest.mark.parametrize("url", ["oracle://x", "nowhere", ""])
async def test_what_is_neither_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="url: expected"):
        async with open_store(url):
            pass
