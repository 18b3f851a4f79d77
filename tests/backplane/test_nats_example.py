"""The example runs as it is written."""

from __future__ import annotations

import asyncio
import sys

import pytest

from .processes import ROOT

pytest.importorskip("nats")


async def test_the_example_runs(nats_url: str) -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "nats_backplane.py"), nats_url]
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        output, _ = await running.communicate()
    assert (running.returncode, output) == (0, b'event: greeting\ndata: {"from":"the other process"}\n\n')
