"""A Django project for the tests of notistore_django: settings made in code, databases from fixtures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import django
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from notistore_django.open_url import database, find_mysql_driver

FOLDER = tempfile.TemporaryDirectory(prefix="notistore-django-")


def set_up() -> None:
    """Configure Django once for this process, leaving its logging and time zone as they are."""
    if settings.configured:
        return
    middleware = ("sessions.middleware.Session", "auth.middleware.Authentication", "messages.middleware.Message")
    settings.configure(
        SECRET_KEY="for tests",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.django_project.urls",
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "notistore_django",
        ],
        MIDDLEWARE=[f"django.contrib.{name}Middleware" for name in middleware],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        DATABASES={"default": sqlite(Path(FOLDER.name) / "default.db")},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        STATIC_URL="static/",
        LOGGING_CONFIG=None,
        USE_TZ=True,
    )
    django.setup()
    find_mysql_driver()


def sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode = WAL"},
    }


def server(url: str) -> dict[str, Any]:
    """The entry of DATABASES for a PostgreSQL or MariaDB URL."""
    return database(url)


@contextmanager
def databases(**entries: dict[str, Any]) -> Iterator[list[BaseDatabaseWrapper]]:
    """Add databases by alias. Yields the connections that any thread opens to them, and closes these at the end."""
    set_up()
    opened: list[BaseDatabaseWrapper] = []

    def note(connection: BaseDatabaseWrapper, **_: object) -> None:
        if connection.alias in entries and connection not in opened:
            connection.inc_thread_sharing()
            opened.append(connection)

    connections.settings.update(
        connections.configure_settings({"default": {}} | entries) | {"default": connections.settings["default"]}
    )
    connection_created.connect(note)
    try:
        yield opened
    finally:
        connection_created.disconnect(note)
        close(opened)
        for alias in entries:
            del connections.settings[alias]
            with suppress(AttributeError):  # this thread may not have had one
                del connections[alias]


def close(opened: list[BaseDatabaseWrapper]) -> None:
    with patch.dict(os.environ, DJANGO_ALLOW_ASYNC_UNSAFE="1"):  # the kit is on its event loop
        for connection in opened:
            connection.close()
