"""The `Backplane` protocol: carries the hubs' events between processes (docs/backplanes.md).

Each promise is a list item that begins with its id in brackets. The conformance kit refers to promises by these ids, as
for `notistore.store`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, NoReturn, Protocol, TypeAlias

__all__ = ["Backplane", "Missed", "Receive", "backoff", "cancel", "keep_connected"]

_log = logging.getLogger("notistore.backplane")

_BACKOFF: Final = (0.1, 0.2, 0.5, 1.0, 2.0)

Receive: TypeAlias = Callable[[str, bytes], None]
"""Called with a received message: its key and its bytes. Never blocks or raises."""

Missed: TypeAlias = Callable[[], None]
"""Called when messages to subscribed keys may have been lost. Never blocks or raises."""


class Backplane(Protocol):
    """Publishes bytes to keys, and receives messages that any process publishes to the keys subscribed to.

    It stores no messages: after lost messages the hub reads current counts from the store. One hub uses one backplane,
    on one event loop: it calls `open` first and `close` last. Between them it never calls a method while an earlier
    call of the same method is running.

    - [delivery.once] While connections last, every subscriber of a key receives each message once, including the
      process that published it.
    - [delivery.order] Messages that one process publishes to one key are received in the order of publishing.
    - [delivery.keys] Keys are any text of fewer than 1,000 characters without control characters, compared exactly;
      messages to other keys are not received.
    - [delivery.bytes] Messages are any bytes, from zero bytes to a few hundred KiB.
    - [delivery.steady] Subscribing to and unsubscribing from other keys loses no message and repeats none.
    - [delivery.unkept] Messages are not kept: a subscriber receives only messages published after its subscription.
    - [connection.returns] It reconnects by itself, without limit, with a delay that grows to a second or two.
    - [connection.half-open] It detects a lost connection within seconds, including one that is half open.
    """

    async def open(self, receive: Receive, missed: Missed) -> None:
        """Start to connect. `receive` is called with each message, in order.

        - [open.loop] `receive` is called with `str` and `bytes`, and both functions on the event loop that called
          `open`. After it is opened again, only the functions given last are called.
        - [open.returns] It returns within seconds, whether or not there is a server.
        - [open.missed] `missed` is called after each reconnect, once every subscribed key is subscribed again.
        """
        ...

    async def subscribe(self, keys: Collection[str]) -> None:
        """Subscribe to these keys, of any number, in addition to those subscribed to before.

        - [subscribe.at-once] Every message published to them after it has returned is received.
        - [subscribe.later] Raises any exception if that is not possible now: the keys are then subscribed to on
          reconnect, followed by `missed`.
        """
        ...

    async def unsubscribe(self, keys: Collection[str]) -> None:
        """Unsubscribe from these keys. Messages to them may still be received; exceptions are ignored.

        - [unsubscribe.again] They can be subscribed to again.
        """
        ...

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send (key, message) pairs, in order.

        - [publish.raises] Raises any exception unless the server has accepted all of them.
        - [publish.returns] It waits for the server only, not for the subscribers.
        """
        ...

    async def close(self) -> None:
        """Close all connections.

        - [close.ends] Every connection, task and thread that it has started is ended.
        - [close.client] A client that was passed in stays open.
        - [close.reopens] It can be opened again, with no key subscribed.
        """
        ...


async def keep_connected(session: Callable[[Callable[[], None]], Awaitable[None]], name: str) -> NoReturn:
    """Run `session` again whenever it ends, after a delay, without limit: the main task of most backplanes.

    Args:
        session: connects, calls the function it is given once the connection is usable, and returns or raises when the
            connection is lost.
        name: its name in the log; an outage logs one warning, and its end another.
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
            await cancel(running)
        if not failing:
            failing, since = True, time.monotonic()
            _log.warning(
                "%s: no connection (%s): this process receives no events of others until it has reconnected, and then "
                "sends every stream its current count; retrying",
                name,
                why,
            )
        await backoff(attempt)
        attempt += 1


async def backoff(attempt: int) -> None:
    """Wait before the next attempt: longer each time, up to two seconds, with jitter."""
    await asyncio.sleep(_BACKOFF[min(attempt, len(_BACKOFF) - 1)] * random.uniform(0.75, 1.0))


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and return once they have ended. It repeats the cancellation, since `asyncio.wait_for` may lose
    one."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)
