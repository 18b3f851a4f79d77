"""Which checks catch which broken store: `python -m tests.conformance.matrix [NAME ...]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from notistore_conformance.registry import Check, registered
from notistore_conformance.report import Outcome
from notistore_conformance.runner import Run
from notistore_conformance.surroundings import ALONE

from .broken_stores import CAUGHT, ONLY

NAMED: dict[str, Check] = {id: check for id, check in registered().items() if id != "model/history"}
"""Every check but the state machine, which is to catch whatever the others do."""


def failing(name: str) -> Iterator[str]:
    """The ids of the checks that the broken store of this name fails, each with a store of its own."""
    _, make_store = CAUGHT[name]
    for id, check in NAMED.items():
        with Run(make_store, surroundings=(ALONE,), processes=False) as run:
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
