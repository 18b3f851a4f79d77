"""The Backplane protocol: what carries the hub's events between processes (DESIGN 6)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, NoReturn, Protocol, TypeAlias

__all__ = ["Backplane", "Missed", "Receive", "end", "keep_connected", "pause"]

_log = logging.getLogger("notistore.backplane")

_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)

Receive: TypeAlias = Callable[[str, bytes], None]
"""Takes one message: the key it was published to, and its bytes. Never blocks and never raises."""

Missed: TypeAlias = Callable[[], None]
"""Says that messages to subscribed keys may have been lost. Never blocks and never raises."""


class Backplane(Protocol):
    """Publish bytes to a key, and receive what any process publishes to the keys this one has subscribed to.

    Best effort, in order per key and publisher while connections hold. It keeps nothing for those who are not there:
    the store is the truth, and a hub that is told it may have missed something gives its streams a fresh count.

    One hub uses one backplane, on one event loop: `open` first, `close` last. Its other calls never overlap with one
    of the same name, so a backplane need not guard against concurrent subscribes. Keys are any text without control
    characters, under 1,000 characters; messages are bytes, up to a few hundred KiB.

    It reconnects by itself, for ever, with a pause that grows to a second or two. It must notice a connection that is
    gone, half-open ones included, within seconds.
    """

    async def open(self, receive: Receive, missed: Missed) -> None:
        """Begin to connect; return whether or not that has succeeded. Messages go to `receive` in order.

        `missed` is called after each reconnect, once every subscribed key is subscribed again. Should it raise, it is
        called again after a pause.
        """
        ...

    async def subscribe(self, keys: Collection[str]) -> None:
        """Return once whatever is published from now on to these keys will be received.

        Raises (anything) when that cannot be had now: the keys are then subscribed on reconnect, followed by `missed`.
        """
        ...

    async def unsubscribe(self, keys: Collection[str]) -> None:
        """These keys are not wanted any more. Messages to them may still come; what it raises is ignored."""
        ...

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send (key, message) pairs, in order. Raises (anything) unless all of them have been handed over."""
        ...

    async def close(self) -> None:
        """End every connection and task it has begun; a client that was passed in stays open."""
        ...


async def keep_connected(session: Callable[[Callable[[], None]], Awaitable[None]], name: str) -> NoReturn:
    """Run `session` for ever, again after a pause whenever it ends: the task behind most backplanes.

    Args:
        session: connects, calls the function it is given once it is of use, and returns or raises when the connection
            is gone.
        name: what the log calls it; an outage is one warning, and its end another.
    """
    attempt, failing = 0, False

    def up() -> None:
        nonlocal attempt, failing
        if failing:
            _log.warning("%s: connected again", name)
        attempt, failing = 0, False

    while True:
        why = "it was closed"
        running = asyncio.ensure_future(session(up))
        try:
            await asyncio.wait([running])
            await running
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        finally:
            await end(running)
        if not failing:
            _log.warning("%s: no connection (%s); trying until there is one", name, why)
        failing = True
        await pause(attempt)
        attempt += 1


async def pause(attempt: int) -> None:
    """Wait before trying again: longer after each attempt, up to two seconds, and never in step with other nodes."""
    await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)] * random.uniform(0.75, 1.0))


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and return once they have ended: again and again, for `asyncio.wait_for` may lose a cancellation."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)
