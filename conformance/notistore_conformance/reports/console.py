"""A report as plain text: what was found of every check, and last, where the eye lands, what is to be mended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from textwrap import fill, indent
from typing import TYPE_CHECKING, Final

from .causes import alike

if TYPE_CHECKING:
    from .report import Report

__all__ = ["missing", "table"]

_MARK: Final[Mapping[str, str]] = {
    "passed": "pass   ",
    "failed": "FAIL   ",
    "expected": "xfail  ",
    "unsupported": "-      ",
    "missing": "MISSING",
    "not run": "not run",
    "waived": "waived ",
}
_PLACES: Final = {"StoreImplementation": "What it needs of you", "BackplaneImplementation": "A backplane of your own"}
_NAMED: Final = 6  # checks, before "and more"


def table(report: Report) -> str:
    """The results: one line per check, what was not offered or not run, each failure in full, and the verdict.

    Of failures with the same cause the first is printed in full, and the ids of the others.
    """
    width = max((len(result.id) for result in report.results), default=0)
    lines = [f"notistore conformance: {report.store}", str(report.about), ""]
    lines += [f"{_MARK[result.outcome]} {result.id:<{width}}  {result.title}" for result in report.results]
    lines += _left_out(report)
    for first, *others in alike(report.failed):
        lines += ["", "-" * 78, first.message]
        if others:
            ids = fill(", ".join(other.id for other in others), 110, break_on_hyphens=False)
            lines += [f"for the same reason {len(others)} more failed:", indent(ids, "    ")]
    lines += ["", report.verdict, *_advice(report)]
    seconds = sum(result.seconds for result in report.results)
    checks = len(report.results)
    return "\n".join([*lines, f"{checks} check{'s' * (checks != 1)} in {seconds:.1f} s"])


def _left_out(report: Report) -> Iterator[str]:
    """One line for each part that is not offered, and for each other reason why a check did not pass or fail."""
    reasons: dict[str, list[str]] = {}
    for result in report.results:
        if result.outcome not in ("passed", "failed"):
            reason = result.message.splitlines()[0]
            names_itself = reason.startswith("not offered") or result.outcome == "waived"
            reason = reason if names_itself else f"{result.outcome}: {reason}"
            reasons.setdefault(reason, []).append(result.id)
    if reasons:
        yield ""
    for reason, ids in reasons.items():
        yield f"{reason} [{_some(ids)}]"
    if named := sorted(set(re.findall(r"\((\w*Implementation)\.\w+", " ".join(reasons)))):
        yield f"With a {named[0]} these are checked too: docs/conformance.md, {_PLACES[named[0]]}"


def _advice(report: Report) -> Iterator[str]:
    """What to do about a verdict that is not CONFORMS."""
    if report.failed and len(report.results) > 1:
        yield f"The first one alone: --only {report.failed[0].id}"
    yield from missing(report)


def missing(report: Report) -> Iterator[str]:
    """What is to be done for CONFORMS where nothing failed; nothing where something did."""
    if not report.broken and len(report.results) < report.checks:
        yield "For CONFORMS, run every check: nothing selected by --only, -k or the like."
    elif not report.broken and not report.complete:
        reasons = dict.fromkeys(result.message for result in report.results if result.outcome == "not run")
        yield f"For CONFORMS: {'; '.join(reasons)}."


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")
