"""Close hubs when the process is told to end: servers wait for open responses before they run lifespan shutdown.

uvicorn, for one, waits for every connection first, so a stream that nobody ends keeps a deploy hanging. The handlers
are put in front of the server's own, which are then called as before.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
import weakref
from collections.abc import Callable
from functools import cache
from types import FrameType
from typing import Any, Final

from ..hub import SseHub

_hubs: Final[weakref.WeakSet[SseHub]] = weakref.WeakSet()
_LOOK: Final = 0.1  # seconds between looks at hypercorn's event, as often as it looks itself


def close_on_signal(hub: SseHub) -> None:
    """From now on SIGINT and SIGTERM close this hub, then do what they did before. Only the main thread can.

    So does what hypercorn has in their place.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _hubs.add(hub)
    for number in (signal.SIGINT, signal.SIGTERM):
        previous = signal.getsignal(number)
        # Asked for each time: a server that ends puts back what was there, and the next one in this process its own.
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


@cache  # once is enough
def _watch_hypercorn() -> None:
    """hypercorn tells its worker processes to end by an event that each is started with, and by no signal.

    There is no public way to it. Where it is not to be found, streams last until hypercorn's graceful timeout.
    """
    told = getattr(multiprocessing.current_process(), "_kwargs", {}).get("shutdown_event")
    if told is None:
        return
    loop = asyncio.get_running_loop()

    def look() -> None:
        if told.is_set():
            _close_all()
        else:
            loop.call_later(_LOOK, look)

    look()
