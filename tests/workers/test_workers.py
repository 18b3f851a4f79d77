"""Each example of a worker, on a real broker: what it sends arrives on an open stream of the web process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import httpx
import pytest

from tests.conftest import postgres_database
from tools.servers import RedisServer
from tools.web_servers import ASGI_SERVERS, running

EXAMPLES = Path(__file__).parents[2] / "examples" / "workers"
SENT = 1000
WORKERS = {
    "celery": ["celery", "--app=with_celery", "worker", "--pool=prefork", "--concurrency=2", "--loglevel=warning"],
    "rq": ["rq.cli", "worker", "--config=with_rq", "--quiet"],
    "dramatiq": ["dramatiq", "with_dramatiq", "--processes=2", "--threads=4"],
    "taskiq": ["taskiq", "worker", "with_taskiq:broker", "--workers=1"],
    "threads": [],
}
"""Each worker as arguments of `python -m`, in the examples' folder. Threads need none."""


@pytest.fixture(scope="module")
def environment(own_redis: RedisServer, postgres_server_url: str) -> Iterator[dict[str, str]]:
    with postgres_database(postgres_server_url) as url:
        yield os.environ | {
            "DATABASE": url,
            "REDIS": own_redis.url,
            "PYTHONPATH": str(EXAMPLES),
            "PYTHONUNBUFFERED": "1",
        }


@pytest.fixture(scope="module")
async def web(environment: dict[str, str]) -> AsyncIterator[str]:
    """The URL of the web process."""
    async with running(ASGI_SERVERS["uvicorn"], app="web:app", env=environment) as server:
        yield f"http://127.0.0.1:{server.port}"


@asynccontextmanager
async def started(command: list[str], environment: dict[str, str]) -> AsyncIterator[None]:
    """A worker within the block; at its end it is asked to end, and has to do so in good order."""
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *command),
            cwd=EXAMPLES,
            env=environment,
            start_new_session=True,
            stdout=output,
            stderr=output,
        )
        try:
            yield
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                code = await process.wait()
        finally:
            output.seek(0)
            said = output.read().decode(errors="replace")
            print(said)  # pytest shows it when the test fails
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
    assert code == 0
    assert "Traceback" not in said


@pytest.mark.parametrize("name", WORKERS)
async def test_all_that_it_sends_arrives_on_an_open_stream(name: str, environment: dict[str, str], web: str) -> None:
    async with (
        asyncio.timeout(240),
        httpx.AsyncClient(base_url=web, headers={"x-user": name}, timeout=120) as client,
        client.stream("GET", "/notifications/stream") as stream,
    ):
        lines = stream.aiter_lines()
        data = (json.loads(line.removeprefix("data: ")) async for line in lines if line.startswith("data: "))
        assert await anext(data) == {"count": 0}
        async with started(WORKERS[name], environment) if WORKERS[name] else nullcontext():
            command = (sys.executable, str(EXAMPLES / f"with_{name}.py"), name)
            sender = await asyncio.create_subprocess_exec(*command, env=environment)
            arrived = [(await anext(data))["data"]["number"] for _ in range(SENT)]
            assert await sender.wait() == 0
        assert sorted(arrived) == list(range(SENT))
        assert (await client.get("/notifications/unread/count")).json() == {"count": SENT}
