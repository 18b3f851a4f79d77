"""Which errors of the drivers are retried, with errors that a real server raises on request."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import urlsplit

import asyncmy  # type: ignore[import-untyped]
import psycopg
import pymysql
import pytest

from notistore.sql.retry import is_transient

from .hosts import connect

MYSQL = [(1020, True), (1205, True), (1213, True), (1146, False), (1062, False)]


@pytest.mark.parametrize(("number", "transient"), MYSQL)
async def test_mysql_errors_are_known_by_their_number_whatever_their_sqlstate(
    mariadb_url: str, number: int, transient: bool
) -> None:
    signal = f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}"
    with (
        closing(connect(mariadb_url)) as connection,
        connection.cursor() as cursor,
        pytest.raises(pymysql.MySQLError) as raised,
    ):
        cursor.execute(signal)
    assert is_transient(raised.value) is transient
    url = urlsplit(mariadb_url)
    asynchronous = await asyncmy.connect(
        host=url.hostname, port=url.port, user=url.username or "root", password=url.password or ""
    )
    try:
        async with asynchronous.cursor() as cursor:
            with pytest.raises(asyncmy.errors.Error) as raised:
                await cursor.execute(signal)
    finally:
        asynchronous.close()
    assert is_transient(raised.value) is transient


@pytest.mark.parametrize(("sqlstate", "transient"), [("40001", True), ("40P01", True), ("42P01", False)])
def test_postgresql_errors_are_known_by_their_sqlstate(postgres_url: str, sqlstate: str, transient: bool) -> None:
    with psycopg.connect(postgres_url) as connection, pytest.raises(psycopg.Error) as raised:
        connection.execute(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$")
    assert is_transient(raised.value) is transient
