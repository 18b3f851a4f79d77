"""Faulty stores that break a written promise the way real adapters do, written without looking at the checks.

They measure the kit; `broken_stores.py` shows that each check is needed. `python -m tests.conformance.faults` prints
which checks catch which.
"""

from . import atomicity, bound, caches, chunks, errors, identity, leaks, races, values
from .registry import FAULTS, Fault

__all__ = [
    "FAULTS",
    "Fault",
    "atomicity",
    "bound",
    "caches",
    "chunks",
    "errors",
    "identity",
    "leaks",
    "races",
    "values",
]
