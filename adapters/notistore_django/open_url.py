"""`open_store`: opens a store by URL, for the command line and examples."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import django
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import ENVIRONMENT_VARIABLE, settings
from django.db import connections

from notistore.errors import InvalidArgument

from .store import DjangoStore

__all__ = ["database", "find_mysql_driver", "open_store"]

_ENGINES: Final = {"sqlite": "sqlite3", "postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
_SQLITE: Final = {
    # Otherwise a transaction that reads before it writes can fail at its first write.
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
}


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[DjangoStore]:
    """The entry point `django` of the group `notistore.stores`: a store on its own database alias, with its table
    created.

    Args:
        url: "sqlite:///file.db", "postgresql://...", "mysql://..." or "mariadb://..."; or, with DJANGO_SETTINGS_MODULE
            set, the alias of one of that project's databases.
    """
    _set_up_django()
    own = "://" in url
    alias = f"notistore_{uuid.uuid4().hex}" if own else url
    if own:
        connections.settings[alias] = connections.configure_settings({"default": {}, alias: database(url)})[alias]
    elif alias not in connections:
        raise InvalidArgument("url", f"expected a URL, or one of the aliases {', '.join(connections)}; got {url!r}")
    try:
        store = DjangoStore(alias)
        await store.create_schema()
        yield store
    finally:
        # Not `connections[alias].close`: looked up here, it would be this thread's.
        await sync_to_async(lambda: connections[alias].close())()
        if own:
            del connections.settings[alias]


def database(url: str) -> dict[str, Any]:
    """The entry of DATABASES for a URL."""
    parts = urlsplit(url)
    if parts.scheme not in _ENGINES:
        raise InvalidArgument("url", f"expected one that begins with {', '.join(_ENGINES)}; got {url!r}")
    if _ENGINES[parts.scheme] == "mysql":
        find_mysql_driver()
    entry: dict[str, Any] = {"ENGINE": f"django.db.backends.{_ENGINES[parts.scheme]}"}
    if parts.scheme == "sqlite":
        return entry | {"NAME": unquote(parts.path.removeprefix("/")) or ":memory:", "OPTIONS": dict(_SQLITE)}
    return entry | {
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
    }


def find_mysql_driver() -> None:
    """Django asks for mysqlclient, which has to be compiled; PyMySQL can stand in for it.

    Raises:
        ImportError: neither is installed.
    """
    if find_spec("MySQLdb") is None:
        try:
            import_module("pymysql").install_as_MySQLdb()
        except ImportError as error:
            raise ImportError("MariaDB and MySQL need a driver: pip install mysqlclient, or PyMySQL") from error


def _set_up_django() -> None:
    if not settings.configured and ENVIRONMENT_VARIABLE not in os.environ:
        settings.configure(INSTALLED_APPS=["notistore_django"], LOGGING_CONFIG=None, USE_TZ=True)
    if not apps.ready:
        django.setup()
