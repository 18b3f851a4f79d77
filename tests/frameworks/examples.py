"""The applications in examples/frameworks, each with the commands in its docstring that start it.

Each is named after its framework's distribution (`fastapi_app.py`), and begins with a docstring whose first words, up
to a comma or colon, are the framework's name, and whose indented lines each start it on a server. They all have:

- `GET /`: page.html, with the bell
- `POST /login` `{"user": ...}`: a session in a cookie, 204
- `POST /logout`: ends that and the user's streams, 204
- `POST /send` `{"type": ..., "data": {...}, "key": ... or null}`: sends the user that notification, 204; or 401
- `GET /status`: `{"streams": n}`, the hub's open streams
- `/notifications`, and where the mount has one, the WebSocket at `/notifications/ws`
"""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

__all__ = ["EXAMPLES", "FOLDER", "Example"]

FOLDER: Final = Path(__file__).parents[2] / "examples" / "frameworks"

_PORT: Final = {
    "daphne": ["--port={port}"],
    "granian": ["--port={port}"],
    "gunicorn": ["--bind=127.0.0.1:{port}", "--no-control-socket"],
    "hypercorn": ["--bind=127.0.0.1:{port}"],
    "python": ["{port}"],
    "sanic": ["--port={port}"],
    "uvicorn": ["--port={port}"],
    "waitress-serve": ["--listen=127.0.0.1:{port}"],
}
"""How each program is given another port than its own."""


@dataclass(frozen=True)
class Example:
    """An application on a server.

    Attributes:
        path: its file.
        command: from its docstring.
        framework: its name.
        mount: the notistore function that serves the inbox, such as "notistore.web.fastapi.inbox_router".
        blocks: whether it runs without an event loop, so that an open stream occupies a thread.
        polls: whether its streams end after the count, as a WSGI mount's do that is not `live`.
        websocket: whether it serves the WebSocket.
    """

    path: Path
    command: str
    framework: str
    mount: str
    blocks: bool
    polls: bool
    websocket: bool

    def __str__(self) -> str:
        return f"examples/frameworks/{self.path.name}: {self.command}"

    @property
    def server(self) -> str:
        """The server's distribution; the framework's own where it has one."""
        program = shlex.split(self.command)[0]
        return {"python": self._distribution, "waitress-serve": "waitress"}.get(program, program)

    @property
    def versions(self) -> str:
        """Framework and server with their versions."""
        found = {self.framework: version(self._distribution)}
        if self.server != self._distribution:
            found[self.server] = version(self.server)
        return ", ".join(f"{name} {number}" for name, number in found.items())

    @property
    def arguments(self) -> list[str]:
        """The command for `python -m`, with `{port}` to be filled in."""
        program, *rest = shlex.split(self.command)
        if program == "python":
            program = rest.pop(0).removesuffix(".py")
        given = _PORT[shlex.split(self.command)[0]]
        return [program.removesuffix("-serve"), *rest, *given]

    @property
    def _distribution(self) -> str:
        return self.path.stem.removesuffix("_app")


def _examples(path: Path) -> list[Example]:
    source = path.read_text(encoding="utf-8")
    about = ast.get_docstring(ast.parse(source)) or ""
    [framework] = re.findall(r"\A[^,:]+", about)
    module, name = re.findall(r"(?m)^from (notistore\.web[.\w]*) import (\w+)", source)[0]
    return [
        Example(
            path,
            command,
            framework,
            mount=f"{module}.{name}",
            blocks="SyncInbox" in source,
            polls="SyncInbox" in source and "live=True" not in source,
            websocket="websocket" in source.replace(about, ""),
        )
        for command in re.findall(r"(?m)^    (.+)$", about)
    ]


EXAMPLES: Final = [example for path in sorted(FOLDER.glob("*_app.py")) for example in _examples(path)]
