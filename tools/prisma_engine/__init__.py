"""Prisma Client Python, generated, and run by Prisma's own engine as npm publishes it (query-engine.js).

The native engine is downloaded from Prisma's own server, which a test machine may not reach; this one comes from npm.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import pytest

from notistore_prisma import model

FOLDER = Path(__file__).parent
ENGINE = FOLDER / "query-engine.js"


def client_class(provider: str, interface: str, request: pytest.FixtureRequest) -> Any:
    """`Prisma`, generated for a provider ("postgresql", "sqlite") and an interface ("asyncio", "sync").

    If that is impossible, the test is skipped, or fails under --require-services.
    """
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    missing += [] if importlib.util.find_spec("prisma") else ["Prisma Client Python (pip install prisma)"]
    if missing:
        unmet = pytest.fail if request.config.getoption("--require-services") else pytest.skip
        unmet(f"Prisma's tests need {' and '.join(missing)}")
    generate(provider)
    return importlib.import_module(f"notistore_{provider}_{interface}").Prisma


@cache
def generate(provider: str) -> Path:
    """Put the packages notistore_<provider>_<interface> on sys.path, and what runs them into os.environ.

    Both npm's packages and generated clients are made by the first process that needs them, and kept for later runs.
    """
    version = _digest((FOLDER / "package.json").read_text(encoding="utf-8"))
    cli = Path(tempfile.gettempdir(), f"notistore-prisma-{os.getuid()}-{version}")
    os.environ |= {
        "CHECKPOINT_DISABLE": "1",
        "NODE_PATH": str(cli / "node_modules"),
        "PRISMA_BINARY_CACHE_DIR": str(cli),
        "PRISMA_QUERY_ENGINE_BINARY": str(ENGINE),
        "PRISMA_SCHEMA_ENGINE_BINARY": str(ENGINE),  # has to be there, is not run
    }
    cli.mkdir(mode=0o700, exist_ok=True)
    with (cli / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cli / "installed").exists():
            shutil.copy(FOLDER / "package.json", cli)
            _run(cli, "npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
            (cli / "installed").touch()
        client = cli / f"{provider}-{_digest(version_of('prisma'), sys.executable, model(provider))}"
        if not client.exists():
            _generate(provider, client)
    sys.path.append(str(client))
    return client


def _generate(provider: str, folder: Path) -> None:
    """Generated code holds the absolute path of its folder, which is therefore made in place."""
    parts = [f'datasource db {{\n  provider = "{provider}"\n  url = "given by each test"\n}}', model(provider)]
    for interface in ("asyncio", "sync"):
        settings = f'provider = "prisma-client-py"\n  interface = "{interface}"\n  recursive_type_depth = -1'
        output = folder / f"notistore_{provider}_{interface}"
        parts.append(f'generator {interface} {{\n  {settings}\n  output = "{output}"\n}}')
    folder.mkdir()
    try:
        schema = folder / "schema.prisma"
        schema.write_text("\n\n".join(parts), encoding="utf-8")
        _run(folder, sys.executable, "-m", "prisma", "generate", "--schema", str(schema))
    except BaseException:
        shutil.rmtree(folder)
        raise


def _run(folder: Path, *command: str) -> None:
    # Prisma finds its generator on PATH, where this environment is not unless it was activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
