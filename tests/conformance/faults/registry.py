"""Faulty stores as data: the name, the promise it breaks, and the kind of mistake."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["FAULTS", "Fault", "breaks", "register"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A store with one mistake.

    Attributes:
        name: unique.
        promise: the id of the clause it breaks.
        kind: the file it is in.
        make: the factory, as the kit takes it.
    """

    name: str
    promise: str
    kind: str
    make: Callable[[], Any]

    @property
    def held_out(self) -> bool:
        """Whether it is one of the third that is not looked at while checks are written, to measure them."""
        return hashlib.sha256(self.name.encode()).digest()[0] % 3 == 0


FAULTS: Final[dict[str, Fault]] = {}


def register(promise: str, name: str, kind: str, make: Callable[[], Any]) -> None:
    if name in FAULTS:
        raise ValueError(f"two faults are named {name}")
    FAULTS[name] = Fault(name, promise, kind.rpartition(".")[2], make)


def breaks(promise: str):
    """Register the decorated class (or its `subject`, or a factory) as a fault that breaks this promise."""

    def decorate(broken):
        register(promise, broken.__name__, broken.__module__, getattr(broken, "subject", broken))
        return broken

    return decorate
