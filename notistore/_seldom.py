"""For lines of log that an outage would otherwise write for every request and every stream."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Seldom"]


class Seldom:
    """Says when something may be logged again: the first time, and then once in so many seconds.

    Args:
        seconds: how long to say nothing after something was said.
        clock: seconds, of any clock that never goes back.
    """

    def __init__(self, seconds: float = 10.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until = float("-inf")
        self._unsaid = 0

    def unsaid(self) -> int | None:
        """How often this was called in vain since it was last said; None if it is not to be said now."""
        now = self._clock()
        if now < self._until:
            self._unsaid += 1
            return None
        self._until = now + self._seconds
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid
