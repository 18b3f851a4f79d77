"""What a developer runs, each doing its own set-up in .venv: `python3 dev.py help`.

Only the standard library: this file has to run before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")

COMMANDS: dict[str, tuple[str, list[str], str]] = {
    "demo": ("[demo]", ["notistore", "demo"], "a live bell in a page on this machine"),
    "test": (
        "dev",
        ["pytest", "-n", "2", "--dist", "loadscope"],
        "the tests; arguments go to pytest (--require-services: skip nothing)",
    ),
    "compatibility": ("dev", ["python", "-m", "tests.compatibility"], "the kit on each adapter, as a table; --help"),
    "lint": ("dev", ["ruff", "check", "."], "ruff's rules"),
    "format": ("dev", ["ruff", "format", "."], "ruff's format; --check only looks"),
    "types": ("dev", ["mypy"], "mypy, strict"),
    "run": ("dev", [], "any command inside .venv"),
}


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036  # whoever starts this with an older one should read why
        sys.exit(f"notistore needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    if not arguments or arguments[0] not in COMMANDS:
        for name, (_, _, says) in COMMANDS.items():
            print(f"  python3 dev.py {name:13} {says}")
        return 0 if arguments in ([], ["help"]) else 2
    what, command, _ = COMMANDS[arguments[0]]
    install(what)
    program, *rest = command + arguments[1:]
    found = next((BIN / name for name in (program, f"{program}.exe") if (BIN / name).exists()), Path(program))
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "VIRTUAL_ENV": str(VENV)}
    os.chdir(ROOT)
    if os.name != "nt":
        # Become the command, so that signals reach it and nothing else: its own shutdown takes the time it takes.
        os.execvpe(str(found), [str(found), *rest], environment)
    return subprocess.call([str(found), *rest], env=environment)


def install(what: str) -> None:
    """Put this checkout and what it needs into .venv, unless that is so since pyproject.toml last changed."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    mark = VENV / f".installed-{what.strip('[]')}"
    if mark.exists() and mark.read_text() == wanted:
        return
    print(f"setting up {VENV.name} for this ({what}): a minute or two, once", file=sys.stderr)
    if not (BIN / "python").exists() and not (BIN / "python.exe").exists():
        try:
            venv.create(VENV, with_pip=True)
        except subprocess.CalledProcessError:
            sys.exit("this Python cannot make a virtual environment; on Debian: apt-get install python3-venv")
    python = str(BIN / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.check_call([*pip, "install", "--upgrade", "pip>=25.1"])
    target = ["--editable", f".{what}"] if what.startswith("[") else ["--editable", ".", "--group", what]
    subprocess.check_call([*pip, "install", *target], cwd=ROOT)
    mark.write_text(wanted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
