"""The verdict as a small SVG picture, for a README."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .report import Report

__all__ = ["badge"]

_LETTER: Final = 6.5  # pixels, on average, of 11 px Verdana
_COLOURS: Final = {
    "conforms": "#3c7a1e",
    "does not conform": "#b3261e",
    "partial": "#73631a",
    "nothing was run": "#555555",
}
_KINDS: Final = {"store": "", "backplane": " backplane", "web": " web"}


def badge(reports: Sequence[Report]) -> str:
    """An SVG that says the worst of these verdicts, of what, and the contract's version."""
    label, verdict = _said(reports)
    left, right = (round(len(text) * _LETTER) + 12 for text in (label, verdict))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{label}: {verdict}"><title>{label}: {verdict}</title>'
        f'<rect width="{left}" height="20" rx="3" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" rx="3" fill="{_COLOURS[verdict]}"/>'
        '<g fill="#fff" font-family="Verdana,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2}" y="14">{label}</text><text x="{left + right / 2}" y="14">{verdict}</text></g></svg>\n'
    )


def _said(reports: Sequence[Report]) -> tuple[str, str]:
    if not reports:
        return "notistore", "nothing was run"
    kinds = [words for kind, words in _KINDS.items() if kind in {report.about.kind for report in reports}]
    # A badge of a store alone does not name its kind; with several kinds, each is named.
    named = kinds[0] if len(kinds) == 1 else " store," + ",".join(kinds[1:]) if "" in kinds else ",".join(kinds)
    oldest = min((report.about.contract for report in reports), key=lambda version: [*map(int, version.split("."))])
    if any(report.broken for report in reports):
        verdict = "does not conform"
    else:
        verdict = "conforms" if all(report.conforms for report in reports) else "partial"
    return f"notistore{named} {oldest}", verdict
