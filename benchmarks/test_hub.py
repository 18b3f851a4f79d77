"""The hub's benchmark runs from end to end; what it finds is another matter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.hub.report import fill
from benchmarks.hub.scenarios import Figure
from benchmarks.hub.server import BARE, LITESTAR, NESTJS, NOTISTORE
from benchmarks.hub.targets import against_targets

ROOT = Path(__file__).parents[1]
SCENARIOS = ["streams", "keys", "deaf", "poll-etag", "send-many"]


def test_every_kind_of_work_gives_a_figure_and_loses_nothing(tmp_path: Path) -> None:
    svg, page = tmp_path / "hub.svg", tmp_path / "hub.md"
    shipped = (ROOT / "docs" / "benchmarks" / "hub.md").read_text()
    page.write_text(shipped)
    command = [sys.executable, "-m", "benchmarks.hub", "--quick", "--plot", str(svg), *SCENARIOS, "--write", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| notistore |")]
    assert len(rows) == len(SCENARIOS), done.stdout
    assert {row[-2].strip() for row in rows} == {"0"}, done.stdout
    assert ElementTree.parse(svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    written = page.read_text()
    assert prose(written) == prose(shipped)
    for name, shown in {
        "conditions": "Measured on ",
        "tables": "**one event to 1,000 streams**",
        "targets": "| 1 MB |",
    }.items():
        assert shown in part(written, name)
    assert all(scenario not in part(written, "tables") for scenario in ("If-None-Match", "Redis")), (
        "not measured, or not here"
    )


def part(page: str, name: str) -> str:
    return page.split(f"<!-- {name} -->\n")[1].split(f"<!-- /{name} -->")[0]


def prose(page: str) -> str:
    """What no command writes."""
    for name in ("conditions", "tables", "targets"):
        page = page.replace(part(page, name), "")
    return page


def figures(**values: list[float]) -> dict[str, list[Figure]]:
    names = {"ours": NOTISTORE.name, "bare": BARE.name, "litestar": LITESTAR.name, "nestjs": NESTJS.name}
    return {names[name]: [Figure(value) for value in rounds] for name, rounds in values.items()}


def test_the_page_says_which_targets_are_met_by_the_median_of_the_rounds() -> None:
    measured = figures(ours=[1.0, 2.0, 1.0], litestar=[2.6, 5.2, 1.0], nestjs=[1.5, 3.0, 1.5], bare=[0.5, 1.0, 0.9])
    table = against_targets({"streams": "1,000 streams"}, {"streams": measured})
    assert table.splitlines()[2:] == [
        "| 1,000 streams | 2.5 times Litestar | 2.6 (1 to 2.6) | met |",
        "| 1,000 streams | 1.9 times NestJS | 1.5 (1.5 to 1.5) | **missed** |",
        "| 1,000 streams | within 1.3 of the bare Protocol | 2 (1.11 to 2) | **missed** |",
    ]


def test_the_page_names_the_nearest_peer_and_what_was_lost() -> None:
    measured = figures(ours=[1.0], litestar=[3.0], nestjs=[1.25], bare=[0.2])
    names = {"redis": "keys"}
    [row] = against_targets(names, {"redis": measured}).splitlines()[2:]
    assert row == "| keys | nothing lost, ahead of every peer | 1.25 times for the nearest, NestJS with Fastify | met |"
    measured[NOTISTORE.name] = [Figure(1.0, lost=3)]
    [row] = against_targets(names, {"redis": measured}).splitlines()[2:]
    assert row.endswith("NestJS with Fastify; 3 lost | **missed** |")


def test_a_target_for_what_was_not_measured_is_left_out() -> None:
    rows = against_targets({"streams": "1,000 streams"}, {"streams": figures(ours=[1.0], bare=[0.5])}).splitlines()[2:]
    assert [row.split("|")[2].strip() for row in rows] == ["within 1.3 of the bare Protocol"]


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no markers for 'targets'"):
        fill("<!-- tables -->\n<!-- /tables -->\n", {"tables": "1", "targets": "2"})
