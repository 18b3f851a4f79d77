"""A proxy that cuts a client off from its server, or loses replies: faults without touching the server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self
from urllib.parse import urlsplit

_PORTS = {"postgresql": 5432, "mysql": 3306}


@contextmanager
def behind_proxy(url: str) -> Iterator[tuple[str, Proxy | None]]:
    """The same server's URL through a proxy, and the proxy. A database in a file has none."""
    parts = urlsplit(url)
    if parts.hostname is None:
        yield url, None
        return
    account = parts.netloc.rpartition("@")[0]
    with Proxy(parts.port or _PORTS[parts.scheme], parts.hostname) as proxy:
        yield parts._replace(netloc=f"{account}{account and '@'}127.0.0.1:{proxy.port}").geturl(), proxy


class Proxy:
    """Relays between a client and a server, and can drop replies or all data."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._to_lose = 0
        self._lose: bytes | None = None
        self._down = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()

    def lose_reply_to(self, command: bytes, times: int = 1) -> None:
        """Let the next `times` requests with this word reach the server, and close the connection on its replies."""
        self._lose, self._to_lose = command, times

    @contextmanager
    def lost_reply(self, text: str) -> Iterator[None]:
        """Lose the reply to one request with this text. Raises at the end if there was none."""
        self.lose_reply_to(text.encode())
        yield
        if not self.lost_all:
            raise RuntimeError(f"no request had {self._lose!r} in it")

    @contextmanager
    def lost_commit(self, text: str) -> Iterator[None]:
        """The same for a client of MySQL or MariaDB that commits each write: lose the reply to its COMMIT."""
        with self.lost_reply("\x03COMMIT"):  # as a command, unlike SET AUTOCOMMIT
            yield

    @property
    def lost_all(self) -> bool:
        return self._to_lose == 0

    def lead_to(self, port: int) -> None:
        """From now on this server; connections to the one before are broken, as when an address moves."""
        self._server = (self._server[0], port)
        self._cut()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Nothing gets through while this is entered."""
        self._down = True
        self._cut()
        try:
            yield
        finally:
            self._down = False

    def _cut(self) -> None:
        for each in list(self._open):
            _close(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._down:
                client.close()
                continue
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            for each in (client, server):  # or small packets wait for the acknowledgement of those before them
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {client, server}
            losing = threading.Event()
            for source, target in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pump, args=(source, target, source is client, losing), daemon=True
                ).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_request: bool, losing: threading.Event) -> None:
        try:
            while data := source.recv(1 << 16):
                if is_request and self._to_lose and self._lose is not None and self._lose in data:
                    self._to_lose -= 1
                    losing.set()
                if losing.is_set() and not is_request:
                    break
                target.sendall(data)
        except OSError:
            pass
        finally:
            for each in (source, target):
                self._open.discard(each)
                _close(each)


def _close(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
