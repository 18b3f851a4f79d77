"""The registry of all checks, one list for each kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias

from notistore.store import Part

__all__ = ["CONTRACT", "Check", "Kind", "backplane_check", "check", "checks_of", "web_check"]

CONTRACT: Final = "1.0"
"""The version of the contract whose every promise this kit checks: major.minor."""

Kind: TypeAlias = Literal["store", "backplane", "web"]
"""What can be checked; each kind has its own checks."""

Body: TypeAlias = Callable[[Any], Awaitable[None]]

_CHECKS: Final[Mapping[Kind, dict[str, Check]]] = {"store": {}, "backplane": {}, "web": {}}


@dataclass(frozen=True, slots=True)
class Check:
    """One behaviour of an implementation.

    Attributes:
        id: "family/behaviour"; the family is the name of the file in `store/checks/`.
        title: the behaviour in one line.
        clauses: ids of the promises it checks.
        body: makes calls and raises ContractViolation where a promise is broken.
        part: the optional part of the contract it needs, if any.
        once: not run again beside neighbours: it moves many rows, or brings neighbours of its own.
        seconds: how long it may take.
    """

    id: str
    title: str
    clauses: tuple[str, ...]
    body: Body
    part: Part | None = None
    once: bool = False
    seconds: float = 30.0


def check(
    id: str,
    title: str,
    *clauses: str,
    kind: Kind = "store",
    part: Part | None = None,
    once: bool = False,
    seconds: float = 30.0,
) -> Callable[[Body], Body]:
    """Register the decorated function as a check of this kind."""
    checks = _CHECKS[kind]

    def register(body: Body) -> Body:
        if id in checks:
            raise ValueError(f"two checks are named {id!r}")
        checks[id] = Check(id, title, clauses, body, part, once, seconds)
        return body

    return register


backplane_check = partial(check, kind="backplane")
web_check = partial(check, kind="web", seconds=60.0)


def checks_of(kind: Kind) -> Mapping[str, Check]:
    """Every check of this kind by its id, in reading order."""
    import_module(f"{__package__}.{kind}.checks")  # which registers them
    return dict(_CHECKS[kind])
