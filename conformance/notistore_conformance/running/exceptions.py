"""How a check ends when it does not pass."""

from __future__ import annotations

__all__ = ["ContractViolation", "NotOffered", "NotRun", "Waived"]


class ContractViolation(AssertionError):
    """A promise was not kept. The message says what was done, what was promised and what was returned."""


class NotOffered(Exception):
    """The check does not apply: it is about an optional part that is not offered. The message names it."""


class NotRun(Exception):
    """The check applies, but something that it needs is missing. The message names it."""


class Waived(Exception):
    """The check applies, but the implementation gives a reason why it cannot be run, which the verdict repeats."""
