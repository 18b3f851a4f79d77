"""What a developer runs, each doing its own set-up in .venv: `python3 dev.py help`.

Only the standard library: this file has to run before anything is installed. uv is used where it is installed, because
it is faster; nothing needs it but `test --lowest`, which installs it into that environment.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent

COMMANDS: dict[str, tuple[str, list[str], str]] = {
    "demo": ("[demo]", ["notistore", "demo"], "a live bell in a page on this machine"),
    "test": ("dev", ["pytest"], "the tests; arguments go to pytest (see `test --help`)"),
    "compatibility": ("dev", ["python", "-m", "tests.compatibility"], "the kit on each adapter, as a table; --help"),
    "lint": ("dev", ["ruff", "check", "."], "ruff's rules"),
    "format": ("dev", ["ruff", "format", "."], "ruff's format; --check only looks"),
    "types": ("dev", ["python", "-m", "tools.types"], "mypy, strict; pyright on the examples and the pages"),
    "docs": ("docs", ["python", "-m", "tools.site"], "the documentation site, in build/site; --serve shows it"),
    "run": ("dev", [], "any command inside .venv"),
}

# What may differ between versions of Python or of a library: the core, the mounts, and the kit on one adapter for each
# database. CI runs it three times more, so it is to take two minutes.
SUBSET = [
    "tests/core",
    "tests/web/test_mounts.py",
    "tests/adapters/test_sqlite_conforms.py::TestAsync",
    "tests/adapters/test_sqlalchemy_conforms.py::TestAsyncpg",
    "tests/adapters/test_sqlalchemy_conforms.py::TestAsyncmy",
    "tests/adapters/test_redis/test_conforms.py::TestStringsOverResp3",
]


@dataclass(frozen=True)
class Environment:
    """A virtual environment beside this file.

    Attributes:
        folder: its folder.
        python: the interpreter that makes it.
        lowest: whether it holds the lowest versions that pyproject.toml allows, not the newest.
        group: the dependency group of pyproject.toml that the tests need.
    """

    folder: Path = ROOT / ".venv"
    python: str = sys.executable
    lowest: bool = False
    group: str = "dev"

    @property
    def bin(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def install(self, what: str) -> None:
        """Put this checkout and what it needs there, unless that was done since pyproject.toml last changed."""
        wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
        mark = self.folder / f".installed-{what.strip('[]')}"
        if mark.exists() and mark.read_text() == wanted:
            return
        print(f"setting up {self.folder.name} for this ({what}): a minute or two, once", file=sys.stderr)
        if self.lowest and self.folder.exists():
            shutil.rmtree(self.folder)  # a version that is there already would be kept
        if not any((self.bin / name).exists() for name in ("python", "python.exe")):
            self._create()
        extra = what if what.startswith("[") else "[all]" if self.lowest else ""  # the group's "all" is not direct
        packages = ["--editable", f".{extra}", *([] if what.startswith("[") else ["--group", what])]
        subprocess.check_call([*self._installer(), *packages], cwd=ROOT)
        mark.write_text(wanted)

    def _create(self) -> None:
        if self.python == sys.executable:
            try:
                venv.create(self.folder, with_pip=True)
            except subprocess.CalledProcessError:
                sys.exit("this Python cannot make a virtual environment; on Debian: apt-get install python3-venv")
        else:
            subprocess.check_call([self.python, "-m", "venv", str(self.folder)])

    def _installer(self) -> list[str]:
        python = str(self.bin / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        uv = shutil.which("uv")
        if uv is None and self.lowest:  # pip knows no such resolution
            subprocess.check_call([*pip, "uv"])
            uv = str(self.bin / "uv")
        if uv is None:
            subprocess.check_call([*pip, "--upgrade", "pip>=25.1"])  # which has --group
            return pip
        return [uv, "pip", "install", "--quiet", f"--python={python}", *["--resolution=lowest-direct"] * self.lowest]

    def run(self, command: list[str]) -> int:
        program, *rest = command
        found = next((self.bin / name for name in (program, f"{program}.exe") if (self.bin / name).exists()), program)
        path = f"{self.bin}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = os.environ | {"PATH": path, "VIRTUAL_ENV": str(self.folder)}
        os.chdir(ROOT)
        if os.name != "nt":
            # Become the command, so that signals reach it and nothing else: its own shutdown takes the time it takes.
            os.execvpe(str(found), [str(found), *rest], environment)
        return subprocess.call([str(found), *rest], env=environment)


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036  # say why, rather than fail on syntax
        sys.exit(f"notistore needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    if not arguments or arguments[0] not in COMMANDS:
        for name, (_, _, says) in COMMANDS.items():
            print(f"  python3 dev.py {name:13} {says}")
        return 0 if arguments in ([], ["help"]) else 2
    what, command, _ = COMMANDS[arguments[0]]
    rest = arguments[1:]
    environment = Environment()
    if arguments[0] == "test":
        environment, rest = chosen_tests(rest)
        what = environment.group
    environment.install(what)
    return environment.run(command + rest)


def chosen_tests(arguments: list[str]) -> tuple[Environment, list[str]]:
    """The environment that the options of `test` choose, and the arguments for pytest."""
    parser = argparse.ArgumentParser(
        prog="dev.py test",
        description="Run the tests on two workers. Other arguments go to pytest (--require-services: skip nothing).",
        allow_abbrev=False,
    )
    parser.add_argument("--python", metavar="3.13", help="with this version of Python, in an environment of its own")
    parser.add_argument("--if-found", action="store_true", help="where there is no such Python, say so and succeed")
    parser.add_argument(
        "--lowest", action="store_true", help="with the lowest versions of its dependencies that pyproject.toml allows"
    )
    parser.add_argument(
        "--subset", action="store_true", help="only the core, the mounts, and the kit on one adapter for each database"
    )
    parser.add_argument(
        "--clusters", action="store_true", help="the tests on clusters and behind proxies: slow, and apart from others"
    )
    options, rest = parser.parse_known_args(arguments)
    if options.clusters:
        rest = ["tests/clusters", "--clusters", *rest]
    else:
        rest = ["-n", "2", "--dist", "loadscope", *(SUBSET if options.subset else []), *rest]
    if options.python is None and not options.lowest:
        return Environment(), rest
    folder = "-".join([".venv", *filter(None, [options.python, "lowest" if options.lowest else None])])
    python = sys.executable if options.python is None else find_python(options.python)
    if python is None:
        missing = f"no Python {options.python} on PATH, in pyenv or in uv"
        if options.if_found:
            print(f"not run: {missing}")
            sys.exit(0)
        sys.exit(f"{missing}; for example: pyenv install {options.python}")
    return Environment(ROOT / folder, python, options.lowest, "subset" if options.subset else "dev"), rest


def find_python(version: str) -> str | None:
    """An interpreter of this version ("3.13", "3.13t"), on PATH, of pyenv, or of uv; None where there is none."""
    candidates = [found] if (found := shutil.which(f"python{version}")) else []
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates += sorted(map(str, pyenv.glob(f"versions/*/bin/python{version}")))
    if uv := shutil.which("uv"):
        found = subprocess.run([uv, "python", "find", "--no-project", version], capture_output=True, text=True)
        candidates += found.stdout.split()
    for candidate in candidates:
        # pyenv's shims are on PATH for versions that pyenv does not run.
        if not subprocess.run([candidate, "-c", ""], capture_output=True).returncode:
            return candidate
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
