"""The throwaway servers: they start, can be killed, and restart on the same port with their data."""

from __future__ import annotations

import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tools.servers import Server


@pytest.mark.parametrize("fixture", ["own_postgres", "own_mariadb", "own_redis"])
def test_a_server_comes_back_on_its_port_after_a_kill(fixture: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(fixture)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        pass
    server.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)
    server.restart()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        pass


def test_each_run_has_databases_of_its_own(postgres_url: str, mariadb_url: str) -> None:
    psycopg, pymysql = pytest.importorskip("psycopg"), pytest.importorskip("pymysql")
    name = urlsplit(postgres_url).path.removeprefix("/")
    assert name.startswith("notistore_")
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == (name,)
    there = urlsplit(mariadb_url)
    name = there.path.removeprefix("/")
    assert name.startswith("notistore_")
    with (
        closing(
            pymysql.connect(host=there.hostname, port=there.port, user=there.username, database=name)
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT DATABASE()")
        assert cursor.fetchone() == (name,)
