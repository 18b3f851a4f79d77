"""LogThrottle: limits how often a message is logged, so that an outage does not log every request and stream."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["LogThrottle"]


class LogThrottle:
    """Allows a message once, then suppresses it for a number of seconds.

    Args:
        seconds: how long to suppress the message after it was logged.
        clock: returns the time in seconds; it must be monotonic.
    """

    def __init__(self, seconds: float = 10.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until = float("-inf")
        self._suppressed = 0

    def suppressed(self) -> int | None:
        """Call before each message: None means suppress it, a number means log it.

        The number is how many messages were suppressed since the last one that was logged.
        """
        now = self._clock()
        if now < self._until:
            self._suppressed += 1
            return None
        self._until = now + self._seconds
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
