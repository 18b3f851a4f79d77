"""The example runs as it is, in a process of its own, on a real server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "with_tortoise.py"


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(EXAMPLE), "0"),
        cwd=tmp_path,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(60):
        while not (found := re.search(rb"running on (http://\S+)", said)):
            line = await process.stderr.readline()
            assert line, said.decode()
            said += line
    yield found[1].decode()
    process.terminate()
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert b"Traceback" not in said


async def test_what_a_transaction_sends_arrives_on_the_stream(url: str) -> None:
    async with (
        httpx.AsyncClient(base_url=url, headers={"x-user": "ada"}) as client,
        client.stream("GET", "/notifications/stream") as stream,
        asyncio.timeout(60),
    ):
        lines = stream.aiter_lines()
        data = (json.loads(line.removeprefix("data: ")) async for line in lines if line.startswith("data: "))
        assert await anext(data) == {"count": 0}
        sent = (await client.post("/buy")).json()
        assert (await anext(data))["id"] == sent
        assert (await client.get("/notifications/unread/count")).json() == {"count": 1}
        assert (await client.post(f"/notifications/{sent}/read")).status_code == 204
        assert (await anext(data))["notificationId"] == sent
