"""Which checks catch which broken store: `python -m tests.conformance.matrix [NAME ...]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from notistore_conformance.registry import Check, checks_of
from notistore_conformance.reports.report import Outcome
from notistore_conformance.store.neighbours import ALONE
from notistore_conformance.store.runner import StoreRunner

from .broken_stores import CAUGHT, ONLY

SWEEPING = (
    "model/",
    "identity/",
    "writers/",
    "whole/",
    "rereads/",
    "races/",
    "sizes/",
    "bind/every-call",
    "bind/evolves",
    "bind/duplicate-of-many",
    "bind/nested-savepoints",
    "bind/after-nested-savepoints",
    "bind/callbacks",
)
"""How the ids of checks begin that go through every method, and so catch what others do: `faults/` measures them."""

NAMED: dict[str, Check] = {id: check for id, check in checks_of("store").items() if not id.startswith(SWEEPING)}
"""Every check but those."""


def failing(name: str) -> Iterator[str]:
    """The ids of the checks that this broken store fails. Each check gets a store of its own."""
    _, make_store = CAUGHT[name]
    for id, check in NAMED.items():
        with StoreRunner(make_store, surroundings=(ALONE,), processes=False) as run:
            if run.run(check).outcome is Outcome.FAILED:
                yield id


def main(names: list[str]) -> int:
    """Print the matrix. Returns 1 when a store is not caught by its check, or a check has no store of its own."""
    own: dict[str, list[str]] = {id: [] for id in NAMED}
    missed = []
    for name in names or CAUGHT:
        caught = list(failing(name))
        named = CAUGHT[name][0]
        if named not in caught or (name in ONLY and len(caught) > 1):
            missed.append(name)
        if len(caught) == 1:
            own[caught[0]].append(name)
        print(f"{name} ({named}): {', '.join(caught)}", flush=True)
    if names:
        return bool(missed)
    print(f"\n{'check':<32}stores only it catches")
    for id, stores in own.items():
        print(f"{id:<32}{', '.join(stores) or 'NONE'}")
    without = [id for id, stores in own.items() if not stores]
    print(f"\n{len(CAUGHT)} stores, {len(NAMED)} checks; without a store of their own: {', '.join(without) or 'none'}")
    print(f"not caught as they should be: {', '.join(missed) or 'none'}")
    return bool(missed or without)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
