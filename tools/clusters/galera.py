"""MariaDB Galera: nodes that all accept writes, certified at the commit."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

from ..servers import START_TIMEOUT, MariaDBServer, Missing, free_port

PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")


class GaleraNode(MariaDBServer):
    """One node. Its `start` returns once it is synchronized with the others and accepts statements.

    Args:
        members: the group addresses of all nodes, shared between them; each node adds its own.
    """

    install = "Galera (Debian: apt install mariadb-server galera-4)"

    def __init__(self, members: list[str]) -> None:
        super().__init__()
        self._members = members
        self._group, self._ist, self._sst = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self._founds = not members
        members.append(self._group)

    def _find_binaries(self) -> None:
        super()._find_binaries()
        provider = next((path for path in PROVIDERS if Path(path).exists()), None)
        if provider is None:
            raise Missing(f"no Galera: install {self.install}")
        self._provider = provider

    def _command(self) -> list[str]:
        options = f"gmcast.listen_addr=tcp://{self._group};ist.recv_addr={self._ist};gcache.size=16M"
        return [
            *super()._command(),
            "--wsrep-on=ON",
            f"--wsrep-provider={self._provider}",
            f"--wsrep-provider-options={options}",
            f"--wsrep-cluster-address=gcomm://{'' if self._founds else ','.join(self._members)}",
            "--wsrep-cluster-name=notistore",
            f"--wsrep-node-address={self._group}",
            f"--wsrep-node-name=node{self._members.index(self._group)}",
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address={self._sst}",
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            # A statement that the server retries by itself sends the rows of its RETURNING twice (MariaDB 10.11).
            "--wsrep-retry-autocommit=0",
            # A read sees what was committed on another node before it began, as on one server.
            "--wsrep-sync-wait=15",
        ]

    def start(self) -> None:
        super().start()
        self._founds = False  # from now on it joins those that are left
        deadline = time.monotonic() + START_TIMEOUT
        while self.status("wsrep_local_state_comment") != "Synced":
            if time.monotonic() > deadline:
                raise RuntimeError(f"a node did not join:\n{(self.folder / 'server.log').read_text(errors='replace')}")
            time.sleep(0.05)

    def status(self, name: str) -> str:
        """A status variable of the node, such as "wsrep_cluster_size"."""
        rows = self.execute(f"SHOW STATUS LIKE '{name}'")
        return str(rows[0][1]) if rows else ""

    def execute(self, statement: str) -> Sequence[Sequence[object]]:
        import pymysql

        with (
            closing(pymysql.connect(host="127.0.0.1", port=self.port, user="root")) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return cursor.fetchall()


class GaleraCluster:
    """Three nodes."""

    def __init__(self, size: int = 3) -> None:
        members: list[str] = []
        self.nodes = [GaleraNode(members) for _ in range(size)]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a database of one test's own."""
        name = f"notistore_{uuid.uuid4().hex}"
        self.nodes[0].execute(f"CREATE DATABASE {name}")
        yield name
        self.nodes[0].execute(f"DROP DATABASE {name}")

    def wait_for_size(self, size: int) -> None:
        """Return once the first node counts this many nodes."""
        deadline = time.monotonic() + START_TIMEOUT
        while self.nodes[0].status("wsrep_cluster_size") != str(size):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the cluster did not come to have {size} nodes")
            time.sleep(0.05)
