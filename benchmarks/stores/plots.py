"""The figures as pictures, in SVG as text: two plots need no library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from pathlib import Path

from .growth import Point
from .overhead import OPERATIONS, Figure
from .peers import Case

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#3ca951", "#a463f2")
STYLE = (
    "text { font: 12px sans-serif; fill: #444 } .axis { stroke: #bbb } .goal { stroke: #d33; stroke-dasharray: 4 3 }"
)


def overhead(figures: Mapping[Case, Mapping[str, Figure]], path: Path) -> None:
    """A dot for each operation of each store: the median ratio, and a line over half of the rounds."""
    left, width, step = 220, 520, 26
    height = 60 + step * len(figures)

    def x(ratio: float) -> float:
        return left + (min(max(ratio, 0.7), 1.7) - 0.7) * width

    parts = [_legend(OPERATIONS, left)]
    for ratio in (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6):
        kind = "goal" if ratio == 1.1 else "axis"
        parts.append(f'<line class="{kind}" x1="{x(ratio):.0f}" x2="{x(ratio):.0f}" y1="30" y2="{height - 25}"/>')
        parts.append(f'<text x="{x(ratio):.0f}" y="{height - 8}" text-anchor="middle">{ratio:.1f}</text>')
    for row, (case, measured) in enumerate(figures.items()):
        y = 46 + row * step
        parts.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{escape(_label(case))}</text>')
        for place, (figure, colour) in enumerate(zip(measured.values(), COLOURS, strict=True)):
            at = y + (place - 2) * 4
            parts.append(
                f'<line x1="{x(figure.low):.1f}" x2="{x(figure.high):.1f}" y1="{at}" y2="{at}" stroke="{colour}" '
                f'stroke-opacity="0.4"/><circle cx="{x(figure.ratio):.1f}" cy="{at}" r="3" fill="{colour}"/>'
            )
    _write(path, parts, left + width + 20, height)


def growth(points: Mapping[str, Sequence[Point]], path: Path) -> None:
    """A line for each call over the size of the inbox, both axes logarithmic; a panel for each database."""
    names = ("unread_count", "own_count", "at_most_100", "first_page", "far_page")
    titles = ("unread count", "the database's own count(*)", "at_most=100", "first page", "page 500")
    panel, height, top, bottom = 340, 300, 60, 265
    parts = [_legend(titles, 50)]
    for number, (database, its) in enumerate(points.items()):
        left = 60 + number * (panel + 50)

        def x(size: float, left: float = left) -> float:
            return left + (log10(size) - 2) / 4 * panel

        def y(ms: float) -> float:
            return bottom - (log10(max(ms, 0.01)) + 2) / 5 * (bottom - top)

        parts.append(f'<text x="{left + panel / 2}" y="{top - 12}" text-anchor="middle">{database}</text>')
        for exponent in range(-2, 4):
            at = y(10.0**exponent)
            parts.append(f'<line class="axis" x1="{left}" x2="{left + panel}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(f'<text x="{left - 5}" y="{at + 4:.1f}" text-anchor="end">{10.0**exponent:g} ms</text>')
        parts += [
            f'<text x="{x(point.size):.0f}" y="{bottom + 18}" text-anchor="middle">{point.size:,}</text>'
            for point in its
        ]
        for name, colour in zip(names, COLOURS, strict=True):
            line = " ".join(f"{x(point.size):.1f},{y(getattr(point, name)):.1f}" for point in its)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
    _write(path, parts, 60 + len(points) * (panel + 50), height)


def _label(case: Case) -> str:
    return case.name if case.database == "Redis" or "sqlite" in case.driver else f"{case.name} ({case.database})"


def _legend(names: Sequence[str], left: float) -> str:
    parts, at = [], left
    for name, colour in zip(names, COLOURS, strict=True):
        parts.append(f'<circle cx="{at:.0f}" cy="14" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{at + 8:.0f}" y="18">{name}</text>')
        at += 26 + 7 * len(name)
    return "".join(parts)


def _write(path: Path, parts: Sequence[str], width: float, height: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">'
    body = "\n".join([f"<style>{STYLE}</style>", '<rect width="100%" height="100%" fill="white"/>', *parts])
    path.write_text(f"{head}\n{body}\n</svg>\n", encoding="utf-8")
