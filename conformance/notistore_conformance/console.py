"""A report as plain text: what was found of every check, and last, where the eye lands, what is to be mended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .report import Report, Result

__all__ = ["missing", "table"]

_MARK: Final[Mapping[str, str]] = {
    "passed": "pass   ",
    "failed": "FAIL   ",
    "expected": "xfail  ",
    "unsupported": "-      ",
    "missing": "MISSING",
    "not run": "not run",
}
_PLACES: Final = {"Subject": "What it needs of you", "BackplaneSubject": "A backplane of your own"}
_NAMED: Final = 6  # checks, before "and more"
_CAME_BACK: Final = re.compile(r"^expected.*:\n(.*)\ncame back:\n((?:    .*\n?)*)", re.MULTILINE)


def table(report: Report) -> str:
    """The results: one line per check, what was not offered or not run, each failure in full, and the verdict.

    Failures that came from one error, or from the same fields of a row, are told once.
    """
    width = max((len(result.id) for result in report.results), default=0)
    lines = [f"notistore conformance: {report.store}", str(report.about), ""]
    lines += [f"{_MARK[result.outcome]} {result.id:<{width}}  {result.title}" for result in report.results]
    lines += _left_out(report)
    for first, *others in _alike(report):
        lines += ["", "-" * 78, first.message]
        if others:
            lines += [f"and so in {len(others)} more:", f"    {_some([other.id for other in others])}"]
    lines += ["", report.verdict, *_advice(report)]
    seconds = sum(result.seconds for result in report.results)
    checks = len(report.results)
    return "\n".join([*lines, f"{checks} check{'s' * (checks != 1)} in {seconds:.1f} s"])


def _left_out(report: Report) -> Iterator[str]:
    """One line for each part that is not offered, and for each other reason why a check did not pass or fail."""
    told: dict[str, list[str]] = {}
    for result in report.results:
        if result.outcome not in ("passed", "failed"):
            reason = result.message.splitlines()[0]
            reason = reason if reason.startswith("not offered") else f"{result.outcome}: {reason}"
            told.setdefault(reason, []).append(result.id)
    if told:
        yield ""
    for reason, ids in told.items():
        yield f"{reason} [{_some(ids)}]"
    if named := sorted(set(re.findall(r"\((\w*Subject)\.\w+", " ".join(told)))):
        yield f"A factory that gives a {named[0]} has these checked too: docs/conformance.md, {_PLACES[named[0]]}"


def _alike(report: Report) -> list[list[Result]]:
    """The failures, those together that an error of one kind, or the same difference of rows, has caused."""
    groups: dict[str, list[Result]] = {}
    for result in report.failed:
        groups.setdefault(_cause(result) or result.id, []).append(result)
    return list(groups.values())


def _cause(result: Result) -> str:
    """What a failure has in common with others of the same cause: empty where it stands for itself."""
    if "\nbeside neighbours:\n" in result.message:  # it passed alone, so the neighbours are the cause
        return "neighbours"
    found = _CAME_BACK.search(result.message)
    if found is None:
        return ""
    expected, got = (re.sub(r"[0-9a-f]{8,}|#?\d+", "_", text) for text in found.groups())
    if expected.strip().startswith("no error"):
        return got.split("raised, the first ")[-1].split(" (which is no")[0].strip()
    return f"{expected} {got}" if expected.strip().startswith("{'") else ""


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
