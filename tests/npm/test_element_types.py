"""`notistore element`, and the types that it copies, by the TypeScript compiler."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import notistore.web

HERE = Path(__file__).parent
STATIC = Path(notistore.web.__file__).parent / "static"
OPTIONS = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable"]


def test_tsc_reports_a_pages_mistakes_and_nothing_else(packages: Path, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("notistore")
    copied = subprocess.run([program, "element", tmp_path / "page"], capture_output=True, text=True, check=True)
    tmp_path /= "page"
    assert copied.stdout.splitlines() == [f"{tmp_path}/notistore-inbox.js", f"{tmp_path}/notistore-inbox.d.ts"]
    shutil.copy(HERE / "element.ts", tmp_path)
    tmp_path.joinpath("package.json").write_text('{"type": "module"}')
    command = [packages / "node_modules/.bin/tsc", *OPTIONS, "--types", "", "element.ts"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_every_text_property_and_event_of_the_element_has_a_type() -> None:
    script, types = ((STATIC / f"notistore-inbox.{kind}").read_text() for kind in ("js", "d.ts"))
    [labels] = re.findall(r"const LABELS = {(.*?)};", script, re.DOTALL)
    [typed] = re.findall(r"interface NotistoreLabels {(.*?)}\n", types, re.DOTALL)
    assert re.findall(r"^  (\w+):", typed, re.MULTILINE) == re.findall(r"^  (\w+):", labels, re.MULTILINE)
    events = re.findall(r'#dispatch\("([\w-]+)"', script)
    assert {*re.findall(r'"notistore:([\w-]+)": CustomEvent', types)} == {*events}
