"""PostgreSQL with a streaming standby that can be promoted."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Self

from ..proxy import Proxy
from ..servers import START_TIMEOUT, PostgresServer


class Standby(PostgresServer):
    """A copy of a running server that follows it until it is promoted."""

    ready_line = b"database system is ready to accept read-only connections"

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__()
        self._primary = primary

    def _prepare(self) -> None:
        # The primary identifies its standby by application_name.
        source = f"host=127.0.0.1 port={self._primary.port} user=postgres application_name=standby"
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--wal-method=stream"]
        self._run(self._bin / "pg_basebackup", "-D", self.folder / "data", "-d", source, *options)
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def promote(self) -> None:
        """Make it a primary. Returns once it accepts writes."""
        self._run(self._bin / "pg_ctl", "promote", "-D", self.folder / "data", "--wait")


class ReplicatedPostgres:
    """A primary and its standby, behind a proxy that forwards to the primary. `url` is the proxy's.

    Args:
        synchronous: whether a commit waits until the standby has written it to disk.
    """

    def __init__(self, *, synchronous: bool) -> None:
        self.primary = PostgresServer()
        self.standby = Standby(self.primary)
        self._synchronous = synchronous

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.primary)
            stack.enter_context(self.standby)
            self._wait_for_replication()
            if self._synchronous:
                self._execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
                self._execute("SELECT pg_reload_conf()")
            self._address = stack.enter_context(Proxy(self.primary.port))
            self.url = f"postgresql://postgres@127.0.0.1:{self._address.port}/postgres"
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def fail_over(self) -> None:
        """Kill the primary, promote the standby, and forward to it."""
        self.primary.kill()
        self.standby.promote()
        self._address.lead_to(self.standby.port)

    def _wait_for_replication(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._execute("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"):
            if time.monotonic() > deadline:
                raise RuntimeError("the standby does not follow its primary")
            time.sleep(0.02)

    def _execute(self, statement: str) -> bool:
        import psycopg

        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            return connection.execute(statement).rowcount > 0
