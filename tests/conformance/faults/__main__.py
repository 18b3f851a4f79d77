"""Which checks catch which fault: `python -m tests.conformance.faults [--held-out | --seen] [--all] [NAME ...]`.

Prints for each fault the first check that catches it (with `--all` every one), or MISSED, and how many of each kind
were caught. Each check is run alone and with neighbours, as in a quick run without other processes.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from . import FAULTS
from .catching import caught


def main(args: list[str]) -> int:
    """Print which checks catch which fault. Returns 1 if more than one in ten was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.faults")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--held-out", action="store_true", help="only those that no check was written for")
    parser.add_argument("--seen", action="store_true", help="only the others")
    parser.add_argument("--all", action="store_true", help="every check that catches a fault")
    parser.add_argument("--quiet", action="store_true", help="only the figures")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(args)
    names = options.names or [
        name
        for name, fault in FAULTS.items()
        if not (options.held_out and not fault.held_out) and not (options.seen and fault.held_out)
    ]
    of_kind, missed, held_out, missed_held_out = Counter[str](), Counter[str](), 0, 0
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as processes:
        found = processes.map(caught, names, [options.all] * len(names))
        for name, checks in zip(names, found, strict=True):
            fault = FAULTS[name]
            of_kind[fault.kind] += 1
            missed[fault.kind] += not checks
            held_out += fault.held_out
            missed_held_out += fault.held_out and not checks
            if not options.quiet:
                caught_by = ", ".join(checks) or "MISSED"
                print(f"{fault.kind:<10} {name} [{fault.promise}]: {caught_by}", flush=True)
    print()
    for kind, total in of_kind.items():
        print(f"{kind:<10} {total - missed[kind]:>3} of {total} caught")
    print(f"{'all':<10} {len(names) - missed.total():>3} of {len(names)} caught")
    print(f"{'held out':<10} {held_out - missed_held_out:>3} of {held_out} caught")
    return missed.total() * 10 > len(names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
