"""The published npm packages against this project's server; reinstalled only when a file here changes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import ASGIApp

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app
from notistore.web.fastapi import inbox_router

from ..web.served import Served, serving

HERE = Path(__file__).parent
FILES = [HERE / name for name in ("package.json", "client.mjs", "inbox.jsx")]
USER = Recipient("42")
COOKIE = "user=42"


def skip_or_fail(request: pytest.FixtureRequest, reason: str) -> NoReturn:
    (pytest.fail if request.config.getoption("--require-services") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def packages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with these files and their node_modules."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            skip_or_fail(request, f"no {program}: install Node.js 20 or newer (Debian: apt-get install nodejs npm)")
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in FILES)).hexdigest()[:16]
    installed = Path(request.config.cache.mkdir("npm")) / digest
    if not installed.exists():
        # Renamed when it is complete: another worker may be installing too, and the first to finish wins.
        folder = tmp_path_factory.mktemp("npm") / digest
        folder.mkdir()
        for file in FILES:
            shutil.copy(file, folder)
        npm = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"]
        done = subprocess.run(npm, cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode:
            skip_or_fail(request, f"npm install failed: {done.stderr[-500:]}")
        staged = shutil.move(folder, installed.with_name(f"{digest}.{os.getpid()}"))
        try:
            Path(staged).rename(installed)
        except OSError:
            shutil.rmtree(staged)
    return installed


def user_of(request: Request) -> Recipient | None:
    id = request.cookies.get("user")
    return None if id is None else Recipient(id)


async def async_user_of(request: Request) -> Recipient | None:
    return user_of(request)


def starlette_host(inbox: Inbox) -> ASGIApp:
    return Starlette(routes=[Mount("/api", inbox_app(inbox, user_of))])


def fastapi_host(inbox: Inbox) -> ASGIApp:
    app = FastAPI()
    app.include_router(inbox_router(inbox, async_user_of), prefix="/api")
    return app


@pytest.fixture
def user() -> Recipient:
    return USER


@pytest.fixture
def hub() -> SseHub:
    return SseHub()


@pytest.fixture
def inbox(hub: SseHub) -> Inbox:
    return Inbox(MemoryStore(), hub)


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[Served]:
    async with serving() as served:
        yield served


class Node:
    """client.mjs: the published client in Node."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._received: deque[Any] = deque()

    async def call(self, method: str, *args: Any) -> Any:
        """The result of the client's method, or {"error": its class, "status": ...}."""
        return await self.do("call", method, *args)

    async def do(self, *command: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        while "received" in (line := await self._line()):
            self._received.append(line)
        return line.get("result", line)

    async def received(self) -> Any:
        """The next item that a subscription received."""
        if not self._received:
            self._received.append(await self._line())
        line = self._received.popleft()
        return {name: value for name, value in line.items() if name != "received"} | {"": line["received"]}

    async def _line(self) -> Any:
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            line = await self._process.stdout.readline()
        assert line, "node has ended"
        return json.loads(line)


@pytest.fixture(params=[starlette_host, fastapi_host])
async def node(request: pytest.FixtureRequest, packages: Path, server: Served, inbox: Inbox) -> AsyncIterator[Node]:
    host: Callable[[Inbox], ASGIApp] = request.param
    server.app = host(inbox)
    process = await asyncio.create_subprocess_exec(
        *("node", "client.mjs", f"{server.url}/api", COOKIE),
        cwd=packages,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield Node(process)
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(60):
        await process.wait()
    await server.idle()
