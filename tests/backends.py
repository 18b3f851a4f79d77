"""Name and version of the database behind a URL, for the reports of the conformance kit."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing
from functools import cache
from urllib.parse import unquote, urlsplit


@cache
def backend(url: str) -> str:
    """The name and version that the database at this URL reports: "PostgreSQL 17.2"."""
    parts = urlsplit(url)
    match parts.scheme:
        case "sqlite" | "file":
            return f"SQLite {sqlite3.sqlite_version}"
        case "postgresql":
            import psycopg

            with psycopg.connect(url) as connection:
                return f"PostgreSQL {_query(connection.cursor(), 'SHOW server_version').split()[0]}"
        case "redis":
            import redis

            with redis.Redis.from_url(url, decode_responses=True) as client:
                return f"Redis {client.info('server')['redis_version']}"
        case "nats":
            with closing(socket.create_connection((parts.hostname or "", parts.port or 4222))) as connection:
                greeting = connection.makefile().readline()  # INFO {...}
            return f"NATS {json.loads(greeting.removeprefix('INFO '))['version']}"
        case _:
            import pymysql

            account = {"user": unquote(parts.username or "root"), "password": unquote(parts.password or "")}
            with closing(pymysql.connect(host=parts.hostname, port=parts.port or 3306, **account)) as connection:
                version = _query(connection.cursor(), "SELECT VERSION()")  # 11.8.3-MariaDB-0+deb13u1
            return f"{'MariaDB' if 'MariaDB' in version else 'MySQL'} {version.partition('-')[0]}"


def _query(cursor: object, query: str) -> str:
    cursor.execute(query)  # type: ignore[attr-defined]
    return str(cursor.fetchone()[0])  # type: ignore[attr-defined]
