"""PgBouncer, which assigns a connection to a client for one transaction at a time."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..servers import Missing, Server, which


class PgBouncer(Server):
    """In transaction mode in front of a PostgreSQL server, with fewer connections to it than its clients have.

    Args:
        behind: the server's URL. All of its databases are available under the same names.
    """

    install = "PgBouncer (Debian: apt install pgbouncer)"
    ready_line = b"process up"

    def __init__(self, behind: str, *, connections: int = 10) -> None:
        super().__init__()
        self._behind = urlsplit(behind)
        self._connections = connections

    def _find_binaries(self) -> None:
        self._pgbouncer = which("pgbouncer")
        if not self._pgbouncer:
            raise Missing(f"no PgBouncer: install {self.install}")

    def _prepare(self) -> None:
        user = self._behind.username or "postgres"
        password = f" password={self._behind.password}" if self._behind.password else ""
        where = f"host={self._behind.hostname} port={self._behind.port or 5432} user={user}{password}"
        (self.folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = {where}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\n"
            f"default_pool_size = {self._connections}\nmax_client_conn = 500\n"
        )
        self.url = self._behind._replace(netloc=f"postgres@127.0.0.1:{self.port}").geturl()

    def _command(self) -> list[str]:
        return [str(self._pgbouncer), str(self.folder / "pgbouncer.ini")]
