"""The message of a failed check, the same for every kind of check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..registry import Check

__all__ = ["explain", "latest"]

_STEPS: Final = 14


def explain(
    check: Check,
    done: Sequence[str],
    promises: Mapping[str, str],
    clauses: Sequence[str],
    expected: str,
    got: str,
    what: str = "",
) -> str:
    """What was done, what is promised, what was expected, and what was returned.

    Args:
        check: the check that failed.
        done: the steps until then, a line each.
        promises: the sentence of each clause, by its id.
        clauses: the ids of those that were broken.
        expected: what the clauses promise here.
        got: what was returned instead.
        what: what `expected` and `got` are of.
    """
    lines = [f"{check.id}: {check.title}", "done:", *(f"    {line}" for line in done)]
    lines += ["promised:", *(f"    [{clause}] {promises.get(clause, '')}" for clause in clauses)]
    lines += [f"expected{f' ({what})' if what else ''}:", f"    {expected}", "came back:", f"    {got}"]
    return "\n".join(lines)


def latest(steps: Sequence[str]) -> list[str]:
    """The latest steps, after a line with the number of earlier ones."""
    earlier = len(steps) - _STEPS
    return [f"({earlier} earlier steps)", *steps[earlier:]] if earlier > 0 else list(steps)
