"""Which checks catch a fault."""

from __future__ import annotations

from collections.abc import Iterator

from notistore_conformance.registry import Check, checks_of
from notistore_conformance.reports.report import Outcome
from notistore_conformance.store.runner import StoreRunner

from ..matrix import SWEEPING
from . import FAULTS

_LAST = ("model/history", "whole/cancelled")  # which cost more than others


def catching(name: str) -> Iterator[str]:
    """The ids of the checks that catch this fault, in one run: first those that go through every method."""
    checks = sorted(checks_of("store").values(), key=_place)
    with StoreRunner(FAULTS[name].make, processes=False) as run:
        for check in checks:
            if run.run(check).outcome is Outcome.FAILED:
                yield check.id


def caught(name: str, all: bool = False) -> list[str]:
    """The ids of the checks that catch this fault; only the first one, unless `all` are asked for."""
    found: list[str] = []
    for id in catching(name):
        found.append(id)
        if not all:
            break
    return found


def _place(check: Check) -> tuple[bool, bool]:
    return check.id in _LAST, not check.id.startswith(SWEEPING)
