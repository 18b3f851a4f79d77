"""The Backplane protocol: what carries the hub's events between processes (docs/backplanes.md).

Each promise is a line that begins with its id in brackets. The conformance kit cites these ids, as it does those of
`notistore.store`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
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

    It keeps nothing: the store is the truth, and a hub that is told it may have missed something gives its streams a
    fresh count. One hub uses one backplane, on one event loop: `open` first, `close` last. Its other calls never
    overlap with one of the same name, so a backplane need not guard against concurrent subscribes.

    - [delivery.once] While connections hold, whoever has subscribed to a key receives each message once, the one that
      published it too.
    - [delivery.order] What one publishes to one key is received in that order.
    - [delivery.keys] Keys are any text without control characters, under 1,000 characters, compared exactly; nothing
      is received for others.
    - [delivery.bytes] Messages are any bytes, from none to a few hundred KiB.
    - [delivery.steady] Subscribing to other keys and unsubscribing from them loses and repeats nothing.
    - [delivery.unkept] Nothing is kept for those who are not there: who subscribes later receives what comes later.
    - [connection.returns] It reconnects by itself, for ever, with a pause that grows to a second or two.
    - [connection.half-open] It notices a connection that is gone within seconds, one that is half open too.
    """

    async def open(self, receive: Receive, missed: Missed) -> None:
        """Begin to connect. Messages go to `receive` in order.

        - [open.returns] It returns within seconds, whether or not there is a server.
        - [open.missed] `missed` is called after each reconnect, once every subscribed key is subscribed again.
        """
        ...

    async def subscribe(self, keys: Collection[str]) -> None:
        """Receive what is published to these keys, however many, beside those subscribed before.

        - [subscribe.at-once] Whatever is published to them from its return on will be received.
        - [subscribe.later] Raises (anything) when that cannot be had now: the keys are then subscribed on reconnect,
          followed by `missed`.
        """
        ...

    async def unsubscribe(self, keys: Collection[str]) -> None:
        """These keys are not wanted any more. Messages to them may still come; what it raises is ignored.

        - [unsubscribe.again] They can be subscribed to again.
        """
        ...

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send (key, message) pairs, in order.

        - [publish.raises] Raises (anything) unless all of them have been handed over.
        """
        ...

    async def close(self) -> None:
        """End it.

        - [close.ends] Every connection and task it has begun is ended.
        - [close.client] A client that was passed in stays open.
        - [close.reopens] It can be opened again.
        """
        ...


async def keep_connected(session: Callable[[Callable[[], None]], Awaitable[None]], name: str) -> NoReturn:
    """Run `session` for ever, again after a pause whenever it ends: the task behind most backplanes.

    Args:
        session: connects, calls the function it is given once it is of use, and returns or raises when the connection
            is gone.
        name: what the log calls it; an outage is one warning, and its end another.
    """
    attempt, failing, since = 0, False, 0.0

    def up() -> None:
        nonlocal attempt, failing
        if failing:
            _log.warning("%s: connected again after %.1f s", name, time.monotonic() - since)
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
            failing, since = True, time.monotonic()
            _log.warning(
                "%s: no connection (%s): this process hears nothing of others until there is one, and then gives every "
                "stream a fresh count; it keeps trying",
                name,
                why,
            )
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
