"""LoopThread: an event loop in a background thread, for blocking code that calls coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from .hub import SseHub

__all__ = ["LoopThread"]

T = TypeVar("T")


class LoopThread:
    """One event loop in a daemon thread, which the first call of `run` starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def runs(self, hub: SseHub) -> bool:
        """Whether the hub was started on this loop."""
        return self._loop is not None and hub._loop is self._loop

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return its result. An interrupt of the caller cancels it."""
        loop = self._running()
        interrupted = False
        running: list[asyncio.Task[Any]] = []

        async def tracked() -> T:
            task = asyncio.current_task()
            assert task is not None
            running.append(task)
            if interrupted:
                task.cancel()
            return await coroutine

        try:
            return asyncio.run_coroutine_threadsafe(tracked(), loop).result()
        except BaseException:
            # The caller may be interrupted (KeyboardInterrupt) at any point, even before it has a future to cancel.
            interrupted = True
            for task in running:
                loop.call_soon_threadsafe(task.cancel)
            raise

    def close(self) -> None:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():  # no thread survives a fork
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name="notistore-sync", daemon=True)
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()
