"""Closes hubs on SIGINT and SIGTERM: servers wait for open responses before they run the lifespan's shutdown.

uvicorn, for example, first waits for every connection, so open streams would block a deploy. The signal handlers
installed here then call the server's own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from ..hub import SseHub

_hubs: Final[weakref.WeakSet[SseHub]] = weakref.WeakSet()
_watching: Final[weakref.WeakSet[asyncio.AbstractEventLoop]] = weakref.WeakSet()
_LOOK: Final = 0.1  # seconds between checks of hypercorn's event, as often as hypercorn checks it


def close_on_signal(hub: SseHub) -> None:
    """From now on SIGINT and SIGTERM close this hub, then call the previous handlers.

    On hypercorn's worker processes, its shutdown event closes the hub. Outside of the main thread this does nothing,
    since Python sets signal handlers only there.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _hubs.add(hub)
    for number in (signal.SIGINT, signal.SIGTERM):
        previous = signal.getsignal(number)
        # Checked each time: a server that ends restores the previous handlers, and the next one in this process sets
        # its own.
        if callable(previous) and not isinstance(previous, _CloseHubs):
            signal.signal(number, _CloseHubs(previous))
    _watch_hypercorn()


class _CloseHubs:
    def __init__(self, previous: Callable[[int, FrameType | None], Any]) -> None:
        self._previous = previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        _close_all()
        self._previous(number, frame)


def _close_all() -> None:
    for hub in tuple(_hubs):
        hub.close()


def _watch_hypercorn() -> None:
    """hypercorn ends its worker processes by an event passed to each of them, not by a signal.

    There is no public access to it. If it is not found, streams last until hypercorn's graceful timeout.
    """
    shutdown = getattr(multiprocessing.current_process(), "_kwargs", {}).get("shutdown_event")
    if shutdown is None:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return  # the application is being imported; there will be a loop when a stream begins
    if loop in _watching:
        return
    _watching.add(loop)

    def look() -> None:
        if shutdown.is_set():
            _close_all()
        else:
            loop.call_later(_LOOK, look)

    look()
