"""Where the peers are: a virtual environment and a node_modules of the benchmark's own, kept between runs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .server import HERE


def install() -> dict[str, str]:
    """The Python that has the Python peers, and, where there is npm, the folder that has NestJS."""
    wanted = (HERE / "requirements.txt", HERE / "nestjs" / "package.json", HERE / "nestjs" / "server.mjs")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in wanted) + sys.version.encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"notistore-benchmark-{digest}"
    python, node = folder / "venv" / "bin" / "python", folder / "nestjs"
    done = folder / "done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing the peers into {folder}", file=sys.stderr)
        _run(sys.executable, "-m", "venv", folder / "venv")
        _run(python, "-m", "pip", "install", "--quiet", "--requirement", wanted[0])
        shutil.copytree(HERE / "nestjs", node)
        if shutil.which("npm"):
            # One of its peer dependencies, for request contexts, is not to be had from npm; nothing here imports it.
            _run("npm", "install", "--prefix", node, "--legacy-peer-deps", "--no-audit", "--no-fund", "--silent")
        done.touch()
    places = {"python": str(python)}
    if (node / "node_modules").exists():
        places["node"] = str(node)
    return places


def versions(places: dict[str, str]) -> str:
    """One line: the interpreter and every peer that was measured."""
    frozen = _run(places["python"], "-m", "pip", "freeze").splitlines()
    names = {"broadcaster", "django-eventstream", "fastapi", "litestar", "sse-starlette", "starlette", "uvicorn"}
    peers = [line.replace("==", " ") for line in frozen if line.split("==")[0].lower() in names]
    parts = [f"Python {sys.version.split()[0]}", *peers]
    if "node" in places:
        parts.append(f"Node {_run('node', '--version').strip()}")
    return ", ".join(parts)


def _run(*command: object) -> str:
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout
