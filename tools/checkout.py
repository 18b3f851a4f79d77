"""The files of this checkout, as git lists them, or of the source distribution that they were unpacked from."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def tracked(under: str = ".", *, suffix: str = "") -> list[str]:
    """Paths relative to ROOT. In a source distribution, which contains only tracked files, all files are listed."""
    if (ROOT / ".git").exists():
        paths = subprocess.check_output(["git", "ls-files", under], cwd=ROOT, text=True).splitlines()
    else:
        found = (path.relative_to(ROOT) for path in (ROOT / under).rglob("*") if path.is_file())
        paths = [str(path) for path in found if not {"__pycache__", "node_modules", ".venv"} & set(path.parts)]
    return sorted(path for path in paths if path.endswith(suffix))
