"""A built wheel in a clean environment works as the checkout does, and says what is missing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [
    Path(name)
    for name in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    assert built.returncode == 0, built.stderr
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.check_call([sys.executable, "-m", "venv", folder])
    python = folder / "bin" / "python"
    subprocess.check_call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel])
    return python


def test_the_wheel_holds_every_package_side_by_side_and_typed(wheel: Path) -> None:
    held = zipfile.ZipFile(wheel).namelist()
    for package in PACKAGES:
        tracked = subprocess.check_output(["git", "ls-files", package], cwd=ROOT, text=True).splitlines()
        wanted = {str(Path(package.name) / Path(name).relative_to(package)) for name in tracked}
        assert wanted <= set(held)
        assert f"{package.name}/py.typed" in held


def test_the_core_needs_nothing_else(python: Path, tmp_path: Path) -> None:
    program = (
        "import asyncio; from notistore import *\n"
        "inbox = Inbox(MemoryStore(), SseHub()); ada = Recipient('ada')\n"
        "asyncio.run(inbox.send(ada, 'x')); print(asyncio.run(inbox.unread_count(ada)))"
    )
    done = run(python, "-W", "error", "-c", program, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize(
    ("module", "extra"),
    [(package.name, package.name.removeprefix("notistore_")) for package in PACKAGES if package.parts[0] == "adapters"]
    + [("notistore.web.asgi", "web")],
)
def test_importing_what_is_not_installed_names_the_extra(python: Path, tmp_path: Path, module: str, extra: str) -> None:
    done = run(python, "-c", f"import {module}", cwd=tmp_path)
    assert done.returncode == 1
    assert f"ImportError: {module} needs" in done.stderr
    assert f'pip install "notistore[{extra}]"' in done.stderr.splitlines()[-1]


def test_the_commands_say_what_is_missing(python: Path, tmp_path: Path) -> None:
    command = python.parent / "notistore"
    stores = run(command, "stores", cwd=tmp_path)
    assert stores.returncode == 0, stores.stderr
    assert "memory" in stores.stdout
    assert 'pip install "notistore[sqlalchemy]"' in stores.stdout
    demo = run(command, "demo", cwd=tmp_path)
    assert demo.returncode == 1
    assert 'pip install "notistore[demo]"' in demo.stderr


def test_a_store_that_is_not_installed_is_an_error_that_lists_those_that_are(python: Path, tmp_path: Path) -> None:
    program = "from notistore.stores import find_store; find_store('nosuch:url')"
    done = run(python, "-c", program, cwd=tmp_path)
    assert "expected NAME:URL with NAME one of" in done.stderr
    assert "memory" in done.stderr


def test_with_its_extras_the_wheel_serves_and_conforms(wheel: Path, python: Path, tmp_path: Path) -> None:
    subprocess.check_call(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[demo,conformance]"]
    )
    command = python.parent / "notistore"
    conform = run(command, "conform", f"sqlalchemy:sqlite+aiosqlite:///{tmp_path / 'rows.db'}", cwd=tmp_path)
    assert conform.returncode == 0, conform.stdout + conform.stderr
    assert "nothing failed" in conform.stdout  # PARTIAL: a URL alone gives the kit no session to bind to
    with subprocess.Popen(
        [command, "demo", "--port", "0", "--db", tmp_path / "demo.db"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as demo:
        try:
            assert demo.stdout is not None
            address = demo.stdout.readline().split()[-1]
            fetch = f"import urllib.request as u; print(u.urlopen({address!r} + 't/acme/u/ada/notifications').read())"
            assert '"items":[]' in run(python, "-c", fetch, cwd=tmp_path).stdout
        finally:
            demo.terminate()
