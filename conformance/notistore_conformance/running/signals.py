"""SIGTERM ends a run as SIGINT does: the check that is running is cancelled, and what it has stored is deleted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "raising_terminated"]


class Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


@contextmanager
def raising_terminated() -> Iterator[None]:
    """Raise Terminated in this thread on the first SIGTERM; the next one ends the process.

    Nothing is changed outside the main thread, where signals cannot be handled, or if SIGTERM has a handler already.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated
