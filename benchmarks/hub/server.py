"""One server process: started pinned to a core, read from outside, ended by its process id."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from .implementations import PAYLOAD

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
LOAD_CORE, *_, SERVER_CORE = (*sorted(os.sched_getaffinity(0)), max(os.sched_getaffinity(0)))


@dataclass(frozen=True)
class Implementation:
    """Something that is measured.

    Attributes:
        name: as the tables have it.
        command: how it is started; `{port}`, `{python}` and `{node}` (the folder of its packages) are filled in.
        stream: the path of one stream; `{key}` is filled in.
    """

    name: str
    command: tuple[str, ...]
    stream: str = "/stream?key={key}"


def on_uvicorn(name: str, module: str, stream: str = Implementation.stream) -> Implementation:
    app = f"benchmarks.hub.implementations.{module}:app"
    options = (
        "--port={port}",
        "--loop=uvloop",
        "--http=httptools",
        "--backlog=8192",
        "--timeout-keep-alive=600",
        "--no-access-log",
        "--log-level=warning",
    )
    return Implementation(name, ("{python}", "-m", "uvicorn", app, *options), stream)


OURS: Final = "/notifications/stream?key={key}"
BARE: Final = Implementation(
    "bare asyncio Protocol", ("{python}", "-m", "benchmarks.hub.implementations.bare", "{port}")
)
NOTISTORE: Final = on_uvicorn("notistore", "notistore_alone", OURS)
NOTISTORE_MOUNTED: Final = on_uvicorn("notistore in Starlette", "notistore_asgi", OURS)
NOTISTORE_FASTAPI: Final = on_uvicorn("notistore in FastAPI", "notistore_fastapi", OURS)
LITESTAR: Final = on_uvicorn("Litestar channels", "litestar_channels")
SSE_STARLETTE: Final = on_uvicorn("sse-starlette, queues", "sse_starlette_queues")
FASTAPI: Final = on_uvicorn("FastAPI's own SSE, queues", "fastapi_native")
BROADCASTER: Final = on_uvicorn("broadcaster", "broadcaster_starlette")
DJANGO: Final = on_uvicorn("django-eventstream", "django_eventstream_site", "/stream?channel={key}")
NESTJS: Final = Implementation("NestJS with Fastify", ("node", "{node}/server.mjs", "{port}", json.dumps(PAYLOAD)))
PEERS: Final = (LITESTAR, SSE_STARLETTE, FASTAPI, BROADCASTER, DJANGO, NESTJS)


class Server:
    """A context manager. CPU time is that of all its threads, in seconds; memory is what is resident, in bytes."""

    def __init__(
        self, implementation: Implementation, places: Mapping[str, str], env: Mapping[str, str] | None = None
    ) -> None:
        self.implementation = implementation
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        filled = {**places, "port": str(self.port)}
        self._command = [_fill(part, filled) for part in implementation.command]
        path = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
        self._env = {**os.environ, "PYTHONPATH": path, **(env or {})}

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._env,
            stdout=self._log,
            stderr=self._log,
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise RuntimeError(f"{self.implementation.name} did not start:\n{self.log()}") from None
                time.sleep(0.05)  # there is nothing to wait on but the port itself

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def cpu(self) -> float:
        return time.clock_gettime((~self._process.pid << 3) | 2)  # what clock_getcpuclockid(3) gives

    def memory(self) -> int:
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _fill(part: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        part = part.replace(f"{{{name}}}", value)
    return part
