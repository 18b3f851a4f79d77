"""What a run found: one result per check, and a verdict that never claims more than was run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from .badge import badge_for
from .console import table

__all__ = ["About", "Kind", "Outcome", "Report", "Result", "dump_json", "write"]

Kind: TypeAlias = Literal["store", "backplane", "web"]
"""What can be checked; each kind has checks of its own."""


class Outcome(StrEnum):
    """How one check ended.

    `UNSUPPORTED`: what it is about is optional and not offered. `MISSING`: it is not optional and the store raised
    Unsupported. `EXPECTED`: it failed, as was expected. `NOT_RUN`: something it needs was not there.
    """

    PASSED = "passed"
    FAILED = "failed"
    EXPECTED = "expected"
    UNSUPPORTED = "unsupported"
    MISSING = "missing"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Result:
    """One check's result. `message` is empty where it passed; `seconds` is wall time."""

    id: str
    title: str
    clauses: tuple[str, ...]
    outcome: Outcome
    message: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {**asdict(self), "clauses": list(self.clauses), "outcome": self.outcome.value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**{**values, "clauses": tuple(values["clauses"]), "outcome": Outcome(values["outcome"])})

    def judged(self, expected: Mapping[str, str]) -> Self | Result:
        """The result in the light of the failures that were expected: one that did not come is a failure."""
        reason = expected.get(self.id)
        if reason is None:
            return self
        if self.outcome is Outcome.FAILED:
            return self._but(Outcome.EXPECTED, f"expected to fail: {reason}\n{self.message}")
        return self._but(
            Outcome.FAILED,
            f"{self.id}: expected to fail ({reason}), yet it is {self.outcome}; take it out of expected_failures",
        )

    def _but(self, outcome: Outcome, message: str) -> Result:
        return Result(self.id, self.title, self.clauses, outcome, message, self.seconds)


@dataclass(frozen=True, slots=True)
class About:
    """What was tested, and by what.

    Attributes:
        store: what was tested, as the caller named it.
        profile: how hard the run tried: "quick" or "full".
        contract: the version of the contract it was held against.
        kit: the version of notistore whose checks these are.
        distribution: what installed the store, with its version; None where that is not known.
        backend: what it keeps its rows in, as the subject says; None where it does not.
        seed: what the random histories were drawn from, and draws them again; None where nothing is random.
        kind: what it is: a "store", a "backplane", or the "web" routes of a server.
    """

    store: str
    profile: str
    contract: str
    kit: str
    distribution: str | None
    backend: str | None
    seed: int | None
    kind: Kind = "store"

    def __str__(self) -> str:
        seed = None if self.seed is None else f"seed {self.seed}"
        parts = (f"contract {self.contract}", f"kit {self.kit}", self.distribution, self.backend)
        return ", ".join(part for part in (*parts, f"{self.profile} profile", seed) if part)


@dataclass(frozen=True, slots=True)
class Report:
    """The results of one store.

    Attributes:
        about: what was tested, and by what.
        results: one per check that was selected, in reading order.
        checks: how many checks the kit has.
    """

    about: About
    results: Sequence[Result]
    checks: int

    @property
    def store(self) -> str:
        """What was tested, as the caller named it."""
        return self.about.store

    @property
    def failed(self) -> Sequence[Result]:
        """The checks that failed and were not expected to."""
        return self._of(Outcome.FAILED)

    @property
    def broken(self) -> bool:
        """Whether the store does not conform, whatever was not run."""
        return bool(self._of(Outcome.FAILED, Outcome.EXPECTED, Outcome.MISSING))

    @property
    def complete(self) -> bool:
        """Whether every check of the kit was run or is about something optional that is not offered."""
        return len(self.results) == self.checks and not self._of(Outcome.NOT_RUN)

    @property
    def conforms(self) -> bool:
        """Whether every core check and every check of each offered part was run and passed."""
        return self.complete and not self.broken

    @property
    def verdict(self) -> str:
        """One line: CONFORMS, DOES NOT CONFORM or PARTIAL, and why."""
        counts = Counter(result.outcome for result in self.results)
        told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
        skipped = self.checks - len(self.results)
        told += f", {skipped} not selected" if skipped else ""
        gaps = sorted({result.message for result in self._of(Outcome.MISSING)})
        told += "".join(f"; {gap}" for gap in gaps)
        if self.broken:
            return f"DOES NOT CONFORM ({told})"
        if not self.complete:
            return f"PARTIAL ({told}): nothing failed, but not everything was run"
        return f"CONFORMS ({told})"

    def table(self) -> str:
        """The results as plain text, each failure in full, and last the verdict."""
        return table(self)

    def __str__(self) -> str:
        return self.table()

    def to_markdown(self) -> str:
        """The results as a Markdown table under a heading."""
        lines = [f"## {self.store}", "", f"**{self.verdict}**", "", f"{self.about}", ""]
        lines += ["| check | behaviour | clauses | outcome |", "|---|---|---|---|"]
        for result in self.results:
            told = str(result.outcome)
            if result.outcome not in (Outcome.PASSED, Outcome.FAILED):
                told += f": {result.message.splitlines()[0]}"
            clauses = ", ".join(result.clauses)
            lines.append(f"| `{result.id}` | {result.title} | {clauses} | {told.replace('|', chr(92) + '|')} |")
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            **asdict(self.about),
            "verdict": self.verdict,
            "conforms": self.conforms,
            "checks": self.checks,
            "results": [result.to_dict() for result in self.results],
        }

    def to_json(self) -> str:
        """The report as JSON text; `dump_json` writes several."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def _of(self, *outcomes: Outcome) -> Sequence[Result]:
        return [result for result in self.results if result.outcome in outcomes]


def dump_json(reports: Sequence[Report]) -> str:
    """Several reports as one JSON text: `{"reports": [...]}`."""
    return json.dumps({"reports": [report.to_dict() for report in reports]}, indent=2) + "\n"


def write(reports: Sequence[Report], path: Path) -> None:
    """Write reports as what the file's name ends in: `.md`, `.svg` for a badge, anything else as JSON."""
    match path.suffix:
        case ".md":
            path.write_text("\n".join(report.to_markdown() for report in reports), encoding="utf-8")
        case ".svg":
            path.write_text(badge_for(reports, path), encoding="utf-8")
        case _:
            path.write_text(dump_json(reports), encoding="utf-8")
