"""The web processes of an application under test."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, Final, Self

from tools.checkout import ROOT

from .http import request

START_TIMEOUT: Final = 180.0  # seconds; on a busy machine the imports alone take half a minute


class WebProcesses:
    """Two processes of one application.

    Args:
        store, url, backplane: as application.py takes them.
        ports: to listen on; 0 for any free port.

    Attributes:
        addresses: of the processes, "host:port".
    """

    def __init__(self, store: str, url: str, backplane: str, ports: Sequence[int]) -> None:
        self._arguments: list[dict[str, Any]] = [
            {"store": store, "url": url, "backplane": backplane, "port": port} for port in ports
        ]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __aexit__
        self._processes: list[asyncio.subprocess.Process] = []
        self.addresses: list[str] = []

    async def __aenter__(self) -> Self:
        try:
            for arguments in self._arguments:
                process, address = await self._start(arguments)
                self._processes.append(process)
                self.addresses.append(address)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
        self._log.close()

    @property
    def log(self) -> str:
        """The output of the processes so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    async def restart(self, n: int) -> None:
        """End a process as a deploy does, and start another in its place."""
        self._processes[n].send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_TIMEOUT):
            await self._processes[n].wait()
        self._processes[n], self.addresses[n] = await self._start(self._arguments[n])

    async def wait_until_accepting(self, n: int) -> None:
        """Return once a process has handled the connections that it received before this call."""
        for _ in range(2):
            await request(self.addresses[n], "GET", "/health", {})

    async def _start(self, arguments: dict[str, Any]) -> tuple[asyncio.subprocess.Process, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.clusters.application", json.dumps(arguments)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
        )
        assert process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"the application did not start:\n{self.log}")
        return process, line.decode().strip()
