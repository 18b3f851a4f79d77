"""The figures of the scenarios that have run, as tables of docs/reliability.md."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .users import Figures

RESULTS: Final[list[Result]] = []

COLUMNS: Final = (
    "what happens",
    "store",
    "writes acknowledged",
    "lost",
    "errors users saw",
    "longest without a write",
    "badges late",
    "the last right after",
    "still wrong after 40 s",
)


@dataclass
class Result:
    """One scenario's figures.

    Attributes:
        cluster: names its table.
        happens: what failed.
        store: which store ran on it.
    """

    cluster: str
    happens: str
    store: str
    figures: Figures

    def row(self) -> list[str]:
        figures = self.figures
        errors = "; ".join(f"{number} × {what}" for what, number in sorted(figures.errors.items()))
        return [
            self.happens,
            self.store,
            f"{figures.acknowledged:,}",
            str(len(figures.lost)),
            errors or "none",
            f"{figures.longest_wait:.1f} s",
            f"{figures.late} of {figures.quiet}",
            f"{figures.latest:.1f} s",
            str(len(figures.wrong)),
        ]


def tables() -> str:
    """One for each cluster."""
    by_cluster: defaultdict[str, list[list[str]]] = defaultdict(list)
    for result in RESULTS:
        by_cluster[result.cluster].append(result.row())
    return "\n".join(f"### {name}\n\n{_table(rows)}" for name, rows in by_cluster.items())


def write(page: Path) -> None:
    """Renew the tables of the clusters that have run; the others stay as they are."""
    text = page.read_text(encoding="utf-8")
    for cluster in {result.cluster for result in RESULTS}:
        rows = [result.row() for result in RESULTS if result.cluster == cluster]
        marked = rf"(?s)(<!-- {re.escape(cluster)} -->\n).*?(<!-- /{re.escape(cluster)} -->)"
        text, found = re.subn(marked, lambda match, rows=rows: match[1] + _table(rows) + match[2], text)
        if not found:
            raise ValueError(f"{page.name} has no markers for {cluster!r}")
    page.write_text(text, encoding="utf-8")


def _table(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in [list(COLUMNS), *rows]]
    return "\n".join([lines[0], "|---" * len(COLUMNS) + "|", *lines[1:], ""])
