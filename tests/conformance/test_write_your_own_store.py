"""docs/write-your-own-store.md, followed in a clean environment; the result is examples/custom_store."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "custom_store"
PAGE = (ROOT / "docs" / "write-your-own-store.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_and_the_example_hold_the_same_code():
    assert [text for kind, text in BLOCKS if kind == "toml"] == [(EXAMPLE / "pyproject.toml").read_text()]
    *store, suite = [text for kind, text in BLOCKS if kind == "python"]
    assert suite == (EXAMPLE / "test_custom_store.py").read_text()
    written = "".join(store)
    assert "".join(written.split("\n")) == "".join((EXAMPLE / "custom_store.py").read_text().split("\n"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder from which pip installs this checkout as `notistore`."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    return folder


def test_every_step_of_the_page_does_what_it_says(tmp_path, wheels):
    (tmp_path / "broken_store.py").write_text((EXAMPLE / "broken_store.py").read_text())
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "PYTHON"))
    } | {
        "PATH": f"{tmp_path / '.venv/bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    store = tmp_path / "custom_store.py"
    for kind, text in BLOCKS:
        match kind:
            case "toml":
                (tmp_path / "pyproject.toml").write_text(text)
            case "python" if "NotificationStoreSuite" in text:
                (tmp_path / "test_custom_store.py").write_text(text)
            case "python":
                store.write_text(f"{store.read_text()}\n{text}" if store.exists() else text)
            case "console":
                for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                    command, *lines = step.splitlines()
                    assert_prints(command, lines, cwd=tmp_path, environment=environment)


def assert_prints(command, lines, *, cwd, environment):
    """Assert that the command prints these lines, or lines that begin so, in this order."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    printed = iter([" ".join(line.split()) for line in (done.stdout + done.stderr).splitlines()])
    for line in lines:
        wanted = " ".join(line.split())
        assert any(got.startswith(wanted) for got in printed), (
            f"$ {command}: no {line!r} in\n{done.stdout}{done.stderr}"
        )
    assert done.returncode == (1 if any("DOES NOT CONFORM" in line for line in lines) else 0), done.stdout + done.stderr
