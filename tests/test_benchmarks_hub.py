"""The hub's benchmark runs from end to end; what it finds is another matter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
WORKS = ["streams", "keys", "deaf", "poll-etag"]


def test_every_kind_of_work_gives_a_figure_and_loses_nothing(tmp_path: Path) -> None:
    svg = tmp_path / "hub.svg"
    command = [sys.executable, "-m", "benchmarks.hub", "--quick", "--plot", str(svg), *WORKS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| notistore |")]
    assert len(rows) == len(WORKS), done.stdout
    assert {row[-2].strip() for row in rows} == {"0"}, done.stdout
    assert ElementTree.parse(svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"
