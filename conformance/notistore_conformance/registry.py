"""The one registry of checks, which every door runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TypeAlias

from notistore.store import Part

__all__ = ["CONTRACT", "Check", "as_numbers", "check", "registered"]

CONTRACT: Final = "1.0"
"""The version of the contract whose every promise this kit checks: major.minor."""

Body: TypeAlias = Callable[[Any], Awaitable[None]]

_CHECKS: Final[dict[str, Check]] = {}


@dataclass(frozen=True, slots=True)
class Check:
    """One behaviour of what is tested.

    Attributes:
        id: "family/behaviour"; the family is the name of the file in `checks/`.
        title: the behaviour in one line.
        clauses: ids of the promises it checks.
        body: does things with a store and raises where a promise is broken.
        part: the optional part of the contract it needs, if any.
        since: the version of the contract that first promised it.
        once: not run again beside neighbours: it moves many rows, or brings neighbours of its own.
        seconds: how long it may take.
    """

    id: str
    title: str
    clauses: tuple[str, ...]
    body: Body
    part: Part | None = None
    since: str = "1.0"
    once: bool = False
    seconds: float = 30.0


def check(
    id: str,
    title: str,
    *clauses: str,
    part: Part | None = None,
    since: str = "1.0",
    once: bool = False,
    seconds: float = 30.0,
    into: dict[str, Check] = _CHECKS,
) -> Callable[[Body], Body]:
    """Register the decorated function as a check: of a store, or of the kind whose checks `into` holds."""

    def register(body: Body) -> Body:
        if id in into:
            raise ValueError(f"two checks are named {id!r}")
        into[id] = Check(id, title, clauses, body, part, since, once, seconds)
        return body

    return register


def as_numbers(contract: str) -> tuple[int, ...]:
    """A contract's version, to be compared; ValueError unless this kit knows it."""
    try:
        numbers = tuple(map(int, contract.split(".")))
    except ValueError:
        numbers = ()
    if len(numbers) != 2 or not (1, 0) <= numbers <= tuple(map(int, CONTRACT.split("."))):
        raise ValueError(f"expected a version of the contract, 1.0 to {CONTRACT}, got {contract!r}")
    return numbers


def registered() -> dict[str, Check]:
    """Every check by its id, in reading order."""
    import_module(f"{__package__}.checks")  # importing the families registers their checks
    return dict(_CHECKS)
