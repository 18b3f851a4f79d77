from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django")

from django.core.management import call_command
from django.db import connections

from notistore import Recipient
from tests.django_project import databases, server, set_up, sqlite

set_up()


@pytest.fixture(scope="session")
def project() -> Iterator[None]:
    """The project's own database, whose tables Django's migrations make."""
    call_command("migrate", verbosity=0)
    yield
    connections["default"].close()


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def entry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The DATABASES entry of one database of each kind."""
    if request.param == "sqlite":
        return sqlite(tmp_path_factory.getbasetemp() / "django.db")
    return server(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def alias(entry: dict[str, Any]) -> Iterator[str]:
    """The alias of a database with the table."""
    from notistore_django import SyncDjangoStore

    name = f"django_{uuid.uuid4().hex}"
    with databases(**{name: entry}):
        SyncDjangoStore(name).create_schema()
        yield name


@pytest.fixture
def user() -> Recipient:
    return Recipient(f"user {uuid.uuid4().hex}")


@pytest.fixture
def empty(entry: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """The alias of an empty database of this test's own."""
    name = f"django_{uuid.uuid4().hex}"
    if "sqlite3" in entry["ENGINE"]:
        with databases(**{name: sqlite(tmp_path / "empty.db")}):
            yield name
        return
    with databases(**{f"{name}_server": entry}), connections[f"{name}_server"].cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        with databases(**{name: entry | {"NAME": name}}):
            yield name
        cursor.execute(f"DROP DATABASE {name}")
