"""What failures have in common, so that a report says it once: one mistake of a store fails many checks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .report import Result

__all__ = ["alike", "cause_of", "shortened"]

_CAME_BACK: Final = re.compile(r"^expected.*:\n(.*)\ncame back:\n((?:    .*\n?)*)", re.MULTILINE)
_VARYING: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8,}|#?\d+")
_FOREIGN: Final = re.compile(r"\b(?!Actor|Cursor)([A-Z]\w*)\(['\d]")  # UUID('...'), Decimal('1')


def alike(failures: Iterable[Result]) -> list[list[Result]]:
    """The failures, those together that have the same cause; in the order of the first of each."""
    groups: dict[str, list[Result]] = {}
    for result in failures:
        groups.setdefault(cause_of(result), []).append(result)
    return list(groups.values())


def cause_of(result: Result) -> str:
    """The same text for failures of the same cause; the id of the check where a failure stands for itself.

    Failures have the same cause if they come from errors of one type and message, ids and numbers aside; from values of
    a type that is not in the contract; from the same fields of rows; or if the checks pass alone and fail beside
    neighbours.
    """
    if "\nbeside neighbours:\n" in result.message:  # it passed alone, so the neighbours are the cause
        return "neighbours"
    found = _CAME_BACK.search(result.message)
    if found is None:
        return result.id
    expected, got = (_VARYING.sub("_", text).strip() for text in found.groups())
    if expected.startswith("no error"):
        return got.split("raised, the first ")[-1].split(" (which is no")[0].strip()
    if types := set(_FOREIGN.findall(result.message.partition("\nlook at:\n")[0])):
        return f"values of type {', '.join(sorted(types))}"
    return f"{expected} {got}" if expected.startswith("{'") else result.id


def shortened(result: Result, first: str) -> str:
    """A failure in a few lines, where the check `first` has failed of the same cause and was printed in full."""
    found = _CAME_BACK.search(result.message)
    lines = [result.message.partition("\n")[0], f"for the same reason as {first}, which says more"]
    return "\n".join(lines + ([found[0].rstrip()] if found else []))
