"""The example runs as it is: two uvicorns and a worker, on a real Redis."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

EXAMPLES = Path(__file__).parents[2] / "examples"


@asynccontextmanager
async def uvicorn(environment: dict[str, str]) -> AsyncIterator[str]:
    """Run the example's uvicorn. Yields its URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "two_processes:app", "--port", "0"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = b""
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(rb"running on (http://\S+)", said)):
                line = await process.stderr.readline()
                assert line, said.decode()
                said += line
        yield found[1].decode()
    finally:
        process.terminate()
        async with asyncio.timeout(60):
            _, said = await process.communicate()
    assert b"Traceback" not in said


async def test_what_one_process_or_a_worker_sends_reaches_the_others_stream(redis_url: str, tmp_path: Path) -> None:
    environment = os.environ | {"DATABASE": str(tmp_path / "rows.db"), "REDIS": redis_url, "PYTHONUNBUFFERED": "1"}
    async with (
        uvicorn(environment) as here,
        uvicorn(environment) as there,
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", f"{here}/notifications/stream") as stream,
    ):
        lines = stream.aiter_lines()
        data = (json.loads(line.removeprefix("data: ")) async for line in lines if line.startswith("data: "))
        assert await anext(data) == {"count": 0}
        assert (await client.post(f"{there}/invoices/7/pay")).status_code == 200
        assert (await anext(data))["data"] == {"title": "Invoice 7 was paid"}
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", str(EXAMPLES / "two_processes.py")), env=environment
        )
        assert [(await anext(data))["data"]["progress"] for _ in range(3)] == [0, 50, 100]
        assert await worker.wait() == 0
        assert (await client.get(f"{there}/notifications/unread/count")).json() == {"count": 2}
