"""Mutation testing of MemoryStore: does the kit detect every change of it? `python -m tests.conformance.mutation`.

It needs mutmut, which nothing else here does: `pip install -e . --group mutation`.

mutmut changes MemoryStore in one place at a time, in a copy of this checkout, and runs the kit on each. Mutants that
pass are listed in EQUIVALENT, with the reason why they break no promise; any other is an error.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]

EQUIVALENT: dict[str, str] = {
    "- key=old.key,": "an id is derived from its key, so the row that is there has the key of the one that comes",
}
"""A surviving mutant's change, as `- old + new`, and why it is one no caller can see."""

CONFIGURATION = """
[mutmut]
source_paths = notistore
only_mutate = notistore/memory.py
pytest_add_cli_args_test_selection = test_memory_store.py
pytest_add_cli_args =
    -p
    no:cacheprovider
also_copy =
    notistore_conformance
    test_memory_store.py
"""


def main() -> int:
    """Run mutmut and print the survivors. Returns 1 if they are not those of EQUIVALENT."""
    if find_spec("mutmut") is None:
        sys.exit("mutmut is not installed: pip install -e . --group mutation")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for package in (ROOT / "notistore", ROOT / "conformance" / "notistore_conformance"):
            shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(Path(__file__).with_name("test_suite_memory.py"), folder / "test_memory_store.py")
        (folder / "setup.cfg").write_text(CONFIGURATION)
        run = [sys.executable, "-m", "mutmut", "run", "--max-children", "2"]
        subprocess.run(run, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        results = mutmut(folder, "results", "--all", "true")
        outcomes = dict(re.findall(r"^\s*(\S+__mutmut_\d+): (.+)$", results, re.MULTILINE))
        survivors = {
            id: change(mutmut(folder, "show", id)) for id, outcome in outcomes.items() if outcome == "survived"
        }
    killed = sum(outcome in ("killed", "timeout") for outcome in outcomes.values())
    print(f"{len(outcomes)} mutants of MemoryStore: {killed} killed, {len(survivors)} survived")
    for id, changed in survivors.items():
        print(f"\n{id}\n    {changed}\n    {EQUIVALENT.get(changed, 'NOT EXPECTED: a check is missing')}")
    rest = set(EQUIVALENT) - set(survivors.values())
    for changed in rest:
        print(f"\nkilled after all, take it out of EQUIVALENT: {changed}")
    return bool(rest or set(survivors.values()) - set(EQUIVALENT) or killed + len(survivors) < len(outcomes))


def mutmut(folder: Path, *arguments: str) -> str:
    return subprocess.check_output([sys.executable, "-m", "mutmut", *arguments], cwd=folder, text=True)


def change(diff: str) -> str:
    """The lines a mutant changed, on one line."""
    lines = [line for line in diff.splitlines() if re.match(r"[-+](?![-+])", line)]
    return " ".join(f"{line[0]} {line[1:].strip()}" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
