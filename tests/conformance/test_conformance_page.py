"""docs/conformance.md: its files and commands work as shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

from notistore_conformance.clauses import UNCHECKABLE
from notistore_conformance.registry import checks_of
from notistore_conformance.running.profiles import PROFILES

from .broken_stores import CAUGHT
from .matrix import NAMED

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "conformance.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_its_commands_print_what_it_says(tmp_path):
    files = {}
    for kind, text in BLOCKS:
        if kind == "python" and (named := re.match(r"# (\w+\.py)\n", text)):
            files[named[1]] = text
            (tmp_path / named[1]).write_text(text)
    assert files.keys() == {"yourpackage.py", "test_yours.py", "check_yours.py", "app.py"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    steps = [
        step for kind, text in BLOCKS if kind == "console" for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    ]
    assert len(steps) == 4
    for step in steps:
        command, *lines = step.splitlines()
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
        )
        printed = iter([line.strip() for line in done.stdout.splitlines()])
        for line in lines:
            assert any(got.startswith(line.strip()) for got in printed), f"$ {command}: no {line!r} in\n{done.stdout}"


def test_its_numbers_are_those_of_the_kit():
    assert f"holds {len(CAUGHT)} stores" in PAGE
    assert f"{len(NAMED)} of the {len(checks_of('store'))} checks have" in PAGE
    assert f"\n{len(checks_of('store'))} checks in\n" in PAGE
    assert all(f"`{clause}`" in PAGE for clause in UNCHECKABLE)
    for profile in PROFILES.values():
        assert (
            f"| `{profile.name}` | {profile.racers} | {profile.rounds} | {profile.processes + 1} "
            f"| {profile.examples:,} | {profile.seconds:.0f} s |"
        ) in PAGE
