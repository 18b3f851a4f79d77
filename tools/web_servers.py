"""Web servers started from their command line on a random port, for the duration of a block."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]

ASGI_SERVERS: Final = {
    "uvicorn": ["uvicorn", "{app}", "--host=127.0.0.1", "--port={port}", "--no-access-log", "--log-level=warning"],
    "hypercorn": ["hypercorn", "{app}", "--bind=127.0.0.1:{port}", "--graceful-timeout=1"],
    "granian": ["granian", "--interface=asgi", "{app}", "--host=127.0.0.1", "--port={port}"],
    "daphne": ["daphne", "-b", "127.0.0.1", "-p", "{port}", "-v", "0", "{app}"],
}
"""How each ASGI server is started, as arguments of `python -m`."""


class Running(NamedTuple):
    """A server that accepts connections."""

    process: asyncio.subprocess.Process
    port: int
    output: IO[Any]

    @property
    def log(self) -> str:
        """What it has written to its standard output and error so far."""
        self.output.seek(0)
        return str(self.output.read().decode(errors="replace"))


@asynccontextmanager
async def running(
    command: Sequence[str], *, app: str = "", env: Mapping[str, str] = os.environ, folder: Path = ROOT
) -> AsyncIterator[Running]:
    """Start `python -m COMMAND`, with `{port}` and `{app}` filled in; kill it and its children at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *(argument.format(port=port, app=app) for argument in command),
            cwd=folder,
            env=env,
            start_new_session=True,
            stdout=output,
            stderr=output,
        )
        server = Running(process, port, output)
        try:
            async with asyncio.timeout(60):
                while not await _listens(port):
                    assert process.returncode is None, f"{command[0]} ended before it listened:\n{server.log}"
                    await asyncio.sleep(0.05)  # only the open port shows that it is ready
            yield server
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
