"""Throwaway database servers: the system's own binaries, a temporary folder, a random port, durability off."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Self

START_TIMEOUT = 60.0


class Missing(Exception):
    """A binary the server needs is not on this machine; the message says what to install."""


class Server(ABC):
    """One server of a test run's own. `url` has no driver in its scheme and stays the same over restarts."""

    install: ClassVar[str]
    ready_line: ClassVar[bytes]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    kill_signal: ClassVar[signal.Signals] = signal.SIGKILL

    url: str
    _process: subprocess.Popen[bytes] | None = None

    def __init__(self) -> None:
        self._find_binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="notistore-"))
        self._account: dict[str, object] = {}
        self._make_writable(self.folder)
        if os.geteuid() == 0:  # database servers refuse to run as root
            nobody = pwd.getpwnam("nobody")
            self._account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.port = free_port()

    def __enter__(self) -> Self:
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()  # a clean shutdown would take seconds, and its data is not needed
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and return once it accepts connections."""
        log = self.folder / "server.log"
        with log.open("wb") as output:
            self._process = process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **self._account,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while self.ready_line not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Shut it down cleanly."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kill it like a crash: open connections break."""
        self._end(self.kill_signal)

    def restart(self) -> None:
        """Start it again on the same port and data, after `stop`, `kill`, or while it runs."""
        self.stop()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _make_writable(self, path: Path) -> None:
        """Make this path writable for the server's account, which is not root."""
        if os.geteuid() == 0:
            shutil.chown(path, "nobody", pwd.getpwnam("nobody").pw_gid)

    def _run(self, *command: object) -> None:
        done = subprocess.run(
            [str(part) for part in command], cwd=self.folder, capture_output=True, check=False, **self._account
        )
        if done.returncode:
            raise RuntimeError(f"{command!r} failed:\n{(done.stdout + done.stderr).decode(errors='replace')}")

    @abstractmethod
    def _find_binaries(self) -> None: ...

    @abstractmethod
    def _prepare(self) -> None: ...

    @abstractmethod
    def _command(self) -> list[str]: ...


class PostgresServer(Server):
    install = "PostgreSQL's server (Debian: apt install postgresql; macOS: brew install postgresql)"
    ready_line = b"database system is ready to accept connections"
    stop_signal = signal.SIGINT
    # Killing the postmaster alone would leave its children holding the shared memory that a restart needs.
    kill_signal = signal.SIGQUIT

    def _find_binaries(self) -> None:
        packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        on_path = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
        for folder in [*reversed(packaged), *on_path]:
            if all((folder / name).is_file() for name in ("initdb", "postgres", "pg_ctl")):
                self._bin = folder
                return
        raise Missing(f"no PostgreSQL: install {self.install}, or set NOTISTORE_POSTGRES_URL")

    def _prepare(self) -> None:
        initdb = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run(self._bin / "initdb", "-D", self.folder / "data", *initdb)
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def _command(self) -> list[str]:
        # Commits reach the operating system, so that they survive a kill; they need not reach the disk.
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": 200,
            "shared_buffers": "32MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self.folder / "data"), *options]


class MariaDBServer(Server):
    install = "MariaDB's server (Debian: apt install mariadb-server; macOS: brew install mariadb)"
    ready_line = b"ready for connections"

    def _find_binaries(self) -> None:
        self._mariadbd = which("mariadbd")
        self._install_db = which("mariadb-install-db")
        if not self._mariadbd or not self._install_db:
            raise Missing(f"no MariaDB: install {self.install}, or set NOTISTORE_MARIADB_URL")

    def _prepare(self) -> None:
        data = f"--datadir={self.folder / 'data'}"
        self._run(self._install_db, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db")
        self.url = f"mysql://root@127.0.0.1:{self.port}/mysql"

    def _command(self) -> list[str]:
        return [
            str(self._mariadbd),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.folder / 'mariadb.sock'}",
            f"--pid-file={self.folder / 'mariadb.pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-ssl",  # the proxies of the tests read the statements; since 11.4 it would offer TLS
            "--max-connections=200",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-doublewrite=0",
            "--innodb-buffer-pool-size=64M",
        ]


class RedisServer(Server):
    install = "Redis (Debian: apt install redis-server; macOS: brew install redis)"
    ready_line = b"Ready to accept connections"

    def _find_binaries(self) -> None:
        self._redis = which("redis-server")
        if not self._redis:
            raise Missing(f"no Redis: install {self.install}, or set NOTISTORE_REDIS_URL")

    def _prepare(self) -> None:
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> list[str]:
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        return [str(self._redis), *where, "--save", "", "--appendonly", "no"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def which(name: str, also: Iterable[str] = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin")) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *also]))
