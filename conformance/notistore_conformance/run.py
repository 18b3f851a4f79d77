"""The plain door: give a factory, get a report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from .registry import CONTRACT, Check, registered
from .report import Report
from .runner import Run

__all__ = ["check_store", "check_store_blocking", "selected"]


async def check_store(
    make_store: Callable[[], Any],
    *,
    name: str | None = None,
    only: str | None = None,
    expected_failures: Mapping[str, str] | None = None,
    profile: str = "quick",
    contract: str = CONTRACT,
    seed: int = 0,
) -> Report:
    """Run the checks on a store, in a thread of their own, and report.

    Args:
        make_store: gives a context manager or a generator, asynchronous or not, that yields a store or a `Subject`;
            or gives the store itself. Called once, entered once, on an event loop of the kit's own.
        name: how the report calls the store; by default the factory's own name.
        only: run only checks whose id begins with this; the verdict is then PARTIAL at best.
        expected_failures: check id to reason. A check that ends in another way than failing is a failure then.
        profile: "quick", or "full" for longer races and histories.
        contract: the version of the contract to hold the store against; checks that came later are left out.
        seed: what the random histories are drawn from.

    Raises:
        ValueError: an unknown profile or version of the contract, an `only` that selects nothing, or an unknown id
            among the expected failures.
    """
    return await asyncio.to_thread(
        check_store_blocking,
        make_store,
        name=name,
        only=only,
        expected_failures=expected_failures,
        profile=profile,
        contract=contract,
        seed=seed,
    )


def check_store_blocking(
    make_store: Callable[[], Any],
    *,
    name: str | None = None,
    only: str | None = None,
    expected_failures: Mapping[str, str] | None = None,
    profile: str = "quick",
    contract: str = CONTRACT,
    seed: int = 0,
) -> Report:
    """The same, for callers without an event loop."""
    expected = check_expected(expected_failures or {})
    chosen = selected(only)
    with Run(make_store, profile=profile, contract=contract, seed=seed) as run:
        results = [run.run(check).judged(expected) for check in chosen]
        about = run.about(name or name_of(make_store))
    return Report(about, results, len(registered()))


def selected(only: str | None) -> list[Check]:
    """The checks whose id begins with `only`, or all."""
    checks = registered()
    chosen = [check for id, check in checks.items() if only is None or id.startswith(only)]
    if not chosen:
        raise ValueError(f"expected the beginning of a check's id, got {only!r}; there are {', '.join(checks)}")
    return chosen


def check_expected(expected: Mapping[str, str]) -> Mapping[str, str]:
    """Return the expected failures, or raise ValueError if one names no check."""
    if unknown := sorted(expected.keys() - registered().keys()):
        raise ValueError(f"expected_failures names no check of the kit: {', '.join(unknown)}")
    return expected


def name_of(make_store: Callable[[], Any]) -> str:
    """What to call a store whose caller gave no name."""
    owner, name = getattr(make_store, "__module__", ""), getattr(make_store, "__qualname__", repr(make_store))
    return f"{owner}:{name}" if owner else name
