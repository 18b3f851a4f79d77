"""The demo's web application: its page, its API, and an inbox for each tenant and user."""

from __future__ import annotations

import asyncio
import getpass
import json
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..discovery import find_store
from ..errors import InvalidArgument
from ..hub import SseHub
from ..inbox import Inbox
from ..model import Recipient
from ..web import inbox_app

__all__ = ["demo_app", "run_demo"]

USERS: Final = ("ada", "grace")
TENANTS: Final = ("acme", "globex")

_PAGE: Final = Path(__file__).parent / "page"
_EXPORT_STEPS: Final = 50
_EXPORT_SECONDS: Final = 5.0


def demo_app(inbox: Inbox) -> Starlette:
    """The demo's page and API, with `inbox_app` mounted for each tenant and user.

    It has no authentication: every client can act as any user. Do not expose it to a network.
    """
    exports: set[asyncio.Task[None]] = set()

    async def page(request: Request) -> Response:
        return Response((_PAGE / "index.html").read_bytes(), media_type="text/html")

    async def send(request: Request) -> Response:
        recipient, fields = await _read(request)
        data: dict[str, object] = {name: fields[name] for name in ("title", "body", "link") if fields.get(name)}
        if actor := {
            name: fields[field] for name, field in (("name", "from"), ("avatar", "avatar")) if fields.get(field)
        }:
            data["actor"] = actor
        if fields.get("actionUrl"):
            data["action"] = {"label": fields.get("actionLabel") or "Open", "url": fields["actionUrl"]}
        await inbox.send(recipient, fields.get("type") or "message", data)
        return Response(status_code=204)

    async def export(request: Request) -> Response:
        recipient, _ = await _read(request)
        task = asyncio.create_task(_export(inbox, recipient))
        exports.add(task)
        task.add_done_callback(exports.discard)
        return Response(status_code=204)

    async def refuse(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status_code=422)

    @asynccontextmanager
    async def stop_exports(app: Starlette) -> AsyncIterator[None]:
        yield
        for task in exports:
            task.cancel()

    return Starlette(
        routes=[
            Route("/", page),
            Route("/demo/send", send, methods=["POST"]),
            Route("/demo/export", export, methods=["POST"]),
            Mount("/static", StaticFiles(directory=_PAGE)),
            Mount("/t/{tenant}/u/{user}", inbox_app(inbox, lambda request: _recipient(request.path_params))),
        ],
        exception_handlers={InvalidArgument: refuse},
        lifespan=stop_exports,
    )


async def run_demo(*, store: str | None, host: str, port: int, ready: Callable[[str, str], None]) -> None:
    """Serve the demo until SIGINT or SIGTERM.

    Args:
        store: NAME:URL of the store; None is an SQLite file in the temporary folder, which later runs use again.
        host: the address to listen on.
        port: the port to listen on; 0 chooses a free one.
        ready: called with the page's URL and the store once the server listens.
    """
    store = store or f"sqlite:{_default_file()}"
    opener, url = find_store(store)
    with socket.create_server((host, port)) as listener:
        async with opener(url) as opened:
            hub = SseHub()
            config = uvicorn.Config(demo_app(Inbox(opened, hub)), log_level="warning", timeout_graceful_shutdown=2)
            ready(f"http://{host}:{listener.getsockname()[1]}/", store)
            await _Server(config).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends on SIGINT and SIGTERM without raising them again afterwards, so that `run_demo` can close the store."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def _read(request: Request) -> tuple[Recipient, dict[str, str]]:
    try:
        fields = json.loads(await request.body())
    except ValueError:
        raise InvalidArgument("body", "expected a JSON object") from None
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise InvalidArgument("body", "expected a JSON object of strings")
    recipient = _recipient(fields)
    if recipient is None:
        raise InvalidArgument("body", f"expected a user of {USERS} and a tenant of {TENANTS}")
    return recipient, fields


def _recipient(names: dict[str, str]) -> Recipient | None:
    user, tenant = names.get("user"), names.get("tenant")
    return Recipient(user, tenant=tenant) if user in USERS and tenant in TENANTS else None


async def _export(inbox: Inbox, recipient: Recipient) -> None:
    """Send one notification and replace it 50 times. It becomes unread at the start and at the end only."""
    key = f"export:{uuid.uuid4()}"
    for step in range(_EXPORT_STEPS):
        data = {"title": "Exporting your data", "progress": step * 100 // _EXPORT_STEPS}
        await inbox.send(recipient, "export", data, key=key, renotify=step == 0)
        await asyncio.sleep(_EXPORT_SECONDS / _EXPORT_STEPS)
    action = {"label": "Download", "url": "/static/index.html"}
    await inbox.send(recipient, "export", {"title": "Your export is ready", "progress": 100, "action": action}, key=key)


def _default_file() -> Path:
    folder = Path(gettempdir()) / f"notistore-demo-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / "demo.db"
