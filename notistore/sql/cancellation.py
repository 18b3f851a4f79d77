"""Cancelled calls, for asynchronous libraries that lose a connection, or keep its locks, if a call is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

__all__ = ["acquired", "finished", "in_background"]

C = TypeVar("C")
T = TypeVar("T")

_tasks: Final[set[asyncio.Task[Any]]] = set()  # the loop keeps only weak references to its tasks


async def acquired(acquiring: Coroutine[Any, Any, C], release: Callable[[C], Awaitable[object]]) -> C:
    """The connection that `acquiring` waits for. If the caller is cancelled meanwhile, the connection is released in
    the background as soon as it is there."""
    task = asyncio.ensure_future(acquiring)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        in_background(_release(task, release))
        raise


async def finished(work: Awaitable[T]) -> T:
    """The result of `work`. If the caller is cancelled meanwhile, `work` ends first, and the cancellation continues
    after that."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # or asyncio would log that nobody has seen it
        raise


def in_background(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start `work` as a task that is not cancelled with its caller."""
    task = asyncio.ensure_future(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def _release(acquiring: asyncio.Task[C], release: Callable[[C], Awaitable[object]]) -> None:
    with suppress(Exception):  # no connection was acquired, and the caller has gone
        await release(await acquiring)
