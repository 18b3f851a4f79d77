"""Writer: writes a subscription's events by a coroutine function, such as an ASGI server's `send`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from .subscription import Subscription

__all__ = ["Write", "Writer"]

Write: TypeAlias = Callable[[bytes], Coroutine[Any, Any, object]]

_EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class Writer:
    """Writes one item at a time, each in its own task, in the context in which the writer was created.

    Since Python 3.12 the task starts eagerly: a write that does not wait, as most do not, is complete when `write`
    returns. An error in a write ends the stream, and is raised by `drain`.

    Attributes:
        busy: a write is in progress, or has failed; `write` must not be called.
    """

    __slots__ = ("_context", "_error", "_loop", "_stream", "_task", "_write", "busy")

    def __init__(self, stream: Subscription, write: Write) -> None:
        self._stream = stream
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._task: asyncio.Task[object] | None = None
        self._error: BaseException | None = None
        self.busy = False

    def write(self, data: bytes) -> None:
        """Write this item, or start to: `busy` is then True."""
        self.busy = True
        task = asyncio.Task(self._write(data), loop=self._loop, context=self._context, **_EAGER)
        if task.done():
            self._written(task)
        else:
            self._task = task
            task.add_done_callback(self._written)

    async def drain(self) -> None:
        """Return once the backlog of an ended stream is written. Raises the error of a failed write."""
        while self._task is not None or (self._stream._has_backlog and not self.busy):
            self._stream._write_backlog()
            if self._task is not None:
                await asyncio.wait([self._task])
        if self._error is not None:
            raise self._error

    async def cancel(self) -> None:
        """Cancel the write that is in progress, if any, and return once it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def abort(self) -> bool:
        """Close the connection and drop unsent bytes. Returns False if this writer cannot."""
        return False

    def _written(self, task: asyncio.Task[object]) -> None:
        self._task = None
        self._error = None if task.cancelled() else task.exception()
        if task.cancelled() or self._error is not None:
            self._stream.end("left")
            return
        self.busy = False
        if self._stream._has_backlog:
            self._loop.call_soon(self._stream._write_backlog)
