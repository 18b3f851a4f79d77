"""The verdict as a small picture for a README."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .report import Report

__all__ = ["badge"]

_LETTER: Final = 6.5  # pixels, on average, of 11 px Verdana
_COLOURS: Final = {"conforms": "#3c7a1e", "does not conform": "#b3261e", "partial": "#73631a"}


def badge(reports: Sequence[Report]) -> str:
    """An SVG that says the worst of these verdicts and the contract's version."""
    if not reports:
        raise ValueError("expected at least one report to make a badge of")
    if any(report.broken for report in reports):
        verdict = "does not conform"
    else:
        verdict = "conforms" if all(report.conforms for report in reports) else "partial"
    label, told = f"notistore {min(report.about.contract for report in reports)}", verdict
    left, right = (round(len(text) * _LETTER) + 12 for text in (label, told))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{label}: {told}"><title>{label}: {told}</title>'
        f'<rect width="{left}" height="20" rx="3" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" rx="3" fill="{_COLOURS[verdict]}"/>'
        '<g fill="#fff" font-family="Verdana,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2}" y="14">{label}</text><text x="{left + right / 2}" y="14">{told}</text></g></svg>\n'
    )
