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

    def log(self, write: Callable[..., None], message: str, *args: object) -> None:
        """Log `message`, with the number of messages suppressed before it if there were any; or suppress it.

        Args:
            write: the logger's method, such as `logger.warning`.
            args: the values of the message's placeholders.
        """
        now = self._clock()
        if now < self._until:
            self._suppressed += 1
            return
        self._until = now + self._seconds
        if self._suppressed:
            message, args = f"{message} (suppressed since the last such message: %d)", (*args, self._suppressed)
            self._suppressed = 0
        write(message, *args, stacklevel=2)
