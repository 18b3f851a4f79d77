"""HAProxy in front of web servers, or of the nodes of a database."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from typing import Literal

from ..servers import START_TIMEOUT, Missing, Server, free_port, which


class HAProxy(Server):
    """Forwards each request, or each connection, to one of several servers that are up. `url` is its own.

    Args:
        ports: of the servers, which may come and go.
        mode: "http", where a request goes to the server with the fewest of them; or "tcp", where connections go to
            one server after the other.
    """

    install = "HAProxy (Debian: apt install haproxy)"
    ready_line = b""  # it logs nothing when ready; its port opens

    def __init__(self, ports: Sequence[int], *, mode: Literal["http", "tcp"] = "http") -> None:
        super().__init__()
        self._ports = ports
        self._mode = mode
        self._admin = free_port()

    def _find_binaries(self) -> None:
        self._haproxy = which("haproxy")
        if not self._haproxy:
            raise Missing(f"no HAProxy: install {self.install}")

    def _prepare(self) -> None:
        # A database client keeps its connection, and would wait on it for a node that is down.
        gone = "" if self._mode == "http" else " on-marked-down shutdown-sessions"
        servers = "".join(
            f"    server s{n} 127.0.0.1:{port} check inter 200ms fall 2 rise 1{gone}\n"
            for n, port in enumerate(self._ports)
        )
        balance = "leastconn" if self._mode == "http" else "roundrobin"
        (self.folder / "haproxy.cfg").write_text(
            "global\n"
            "    maxconn 4000\n"
            f"    stats socket ipv4@127.0.0.1:{self._admin} level admin\n"
            "defaults\n"
            f"    mode {self._mode}\n"
            "    timeout connect 2s\n"
            "    timeout client 60s\n"  # longer than the 15 s between two heartbeats of a stream
            "    timeout server 60s\n"
            "    retries 3\n"
            "    option redispatch 1\n"  # a server that refuses connections is skipped at once
            f"frontend front\n    bind 127.0.0.1:{self.port}\n    default_backend servers\n"
            f"backend servers\n    balance {balance}\n{servers}"
        )
        self.url = f"http://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        return [str(self._haproxy), "-db", "-f", str(self.folder / "haproxy.cfg")]

    def drain(self, n: int) -> None:
        """Send no new requests to the nth server, which keeps its open connections."""
        self._set(n, "drain")

    def ready(self, n: int) -> None:
        """Send to the nth server again. Returns once its health check has passed."""
        self._set(n, "ready")
        deadline = time.monotonic() + START_TIMEOUT
        while not re.search(rf"^servers,s{n},.*,UP,", reply := self._command_socket("show stat"), re.MULTILINE):
            if time.monotonic() > deadline:
                raise RuntimeError(f"HAProxy does not find server {n} up:\n{reply}")
            time.sleep(0.02)

    def _set(self, n: int, state: str) -> None:
        if answer := self._command_socket(f"set server servers/s{n} state {state}"):
            raise RuntimeError(f"HAProxy refuses state {state}: {answer}")

    def _command_socket(self, command: str) -> str:
        """Send a command to the admin socket. Returns its output, which is empty for changes."""
        with socket.create_connection(("127.0.0.1", self._admin), timeout=5) as connection:
            connection.sendall(f"{command}\n".encode())
            with connection.makefile() as answer:
                return answer.read().strip()

    def start(self) -> None:
        super().start()
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "server.log").read_text(errors="replace")
                    raise RuntimeError(f"HAProxy did not start:\n{log}") from None
                time.sleep(0.02)
            else:
                return
