"""How thorough a run is: `quick` for every commit, `full` for a release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["PROFILES", "Profile"]


@dataclass(frozen=True, slots=True)
class Profile:
    """How thorough a run is.

    Attributes:
        racers: how many calls race each other.
        rounds: how often a race is run.
        processes: how many other processes race with this one.
        examples: how many random histories the state machine plays.
        seconds: after how many it stops, so that a slow store's run ends too.
    """

    name: str
    racers: int
    rounds: int
    processes: int
    examples: int
    seconds: float


PROFILES: Final[Mapping[str, Profile]] = {
    "quick": Profile("quick", racers=12, rounds=2, processes=2, examples=30, seconds=15),
    "full": Profile("full", racers=40, rounds=10, processes=4, examples=1500, seconds=120),
}
