"""What a run found: one result per check, and a verdict that never claims more than was run."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from ..registry import Kind
from .badge import badge
from .console import table

__all__ = ["FORMAT", "About", "Outcome", "Report", "Result", "check_writable", "dump_json", "write"]

FORMAT: Final = 1
"""The version of the JSON. What is added to it does not raise it; what is changed or taken away does."""


class Outcome(StrEnum):
    """How one check ended.

    `UNSUPPORTED`: what it is about is optional and not offered. `MISSING`: it is not optional and the store raised
    Unsupported. `EXPECTED`: it failed, as was expected. `NOT_RUN`: something it needs was not there. `WAIVED`: the
    implementation says why it cannot be run.
    """

    PASSED = "passed"
    FAILED = "failed"
    EXPECTED = "expected"
    UNSUPPORTED = "unsupported"
    MISSING = "missing"
    NOT_RUN = "not run"
    WAIVED = "waived"


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
        backend: what it keeps its rows in, as the implementation says; None where it does not.
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
        """Whether every check of the kit was run, is about something optional that is not offered, or was waived."""
        return len(self.results) == self.checks and not self._of(Outcome.NOT_RUN)

    @property
    def conforms(self) -> bool:
        """Whether every core check and every check of each offered part was run and passed."""
        return self.complete and not self.broken

    @property
    def verdict(self) -> str:
        """One line: CONFORMS, DOES NOT CONFORM or PARTIAL, and why."""
        summary = ", ".join(f"{number} {outcome}" for outcome, number in self.counts.items() if number)
        gaps = sorted({result.message for result in self._of(Outcome.MISSING)})
        waived = sorted({result.message for result in self._of(Outcome.WAIVED)})
        summary += "".join(f"; {reason}" for reason in gaps + waived)
        if self.broken:
            return f"DOES NOT CONFORM ({summary})"
        if not self.complete:
            return f"PARTIAL ({summary}): nothing failed, but not everything was run"
        return f"CONFORMS ({summary})"

    def table(self) -> str:
        """The results as plain text, each failure in full, and last the verdict."""
        return table(self)

    def __str__(self) -> str:
        return self.table()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many checks ended in each way, and how many were "not selected"."""
        ended = Counter(result.outcome for result in self.results)
        counts = {str(outcome): ended[outcome] for outcome in Outcome}
        return {**counts, "not selected": self.checks - len(self.results)}

    @property
    def seconds(self) -> float:
        """How long the checks took, one after the other."""
        return sum(result.seconds for result in self.results)

    def to_markdown(self) -> str:
        """The results as a Markdown table under a heading, and what each failure has to say."""
        lines = [f"## {self.store}", "", f"**{self.verdict}**", ""]
        lines += [f"{self.about}, {len(self.results)} of {self.checks} checks in {self.seconds:.1f} s", ""]
        lines += ["| check | behaviour | promises | outcome | seconds |", "|---|---|---|---|---|"]
        for result in self.results:
            summary = str(result.outcome)
            if result.outcome not in (Outcome.PASSED, Outcome.FAILED):
                summary += f": {result.message.splitlines()[0]}"
            cells = (f"`{result.id}`", result.title, ", ".join(result.clauses), summary, f"{result.seconds:.2f}")
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        for result in self.failed:
            fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall("`+", result.message)), 3)
            lines += ["", f"### {result.id}", "", f"{fence}text", result.message, fence]
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values, in the shape that docs/conformance.md gives."""
        return {
            **asdict(self.about),
            "verdict": self.verdict,
            "conforms": self.conforms,
            "checks": self.checks,
            "counts": dict(self.counts),
            "seconds": round(self.seconds, 3),
            "results": [result.to_dict() for result in self.results],
        }

    def to_json(self) -> str:
        """The report alone as JSON text; `dump_json` writes files of several."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def _of(self, *outcomes: Outcome) -> Sequence[Result]:
        return [result for result in self.results if result.outcome in outcomes]


def dump_json(reports: Sequence[Report]) -> str:
    """Several reports as one JSON text: `{"format": 1, "reports": [...]}`."""
    return json.dumps({"format": FORMAT, "reports": [report.to_dict() for report in reports]}, indent=2) + "\n"


def check_writable(option: str, path: str | Path) -> None:
    """Raise ValueError before a run if what `option` names cannot be a file that is written after it."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{option}: expected a file, got the folder {path}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{option}: expected a file in a folder that exists, got {path}")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise ValueError(f"{option}: {path} may not be written")


def write(reports: Sequence[Report], path: Path) -> None:
    """Write reports as what the file's name ends in: `.md`, `.svg` for a badge, anything else as JSON."""
    match path.suffix:
        case ".md":
            path.write_text("\n".join(report.to_markdown() for report in reports), encoding="utf-8")
        case ".svg":
            path.write_text(badge(reports), encoding="utf-8")
        case _:
            path.write_text(dump_json(reports), encoding="utf-8")
