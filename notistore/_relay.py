"""Between a hub and its backplane: what goes out, which keys are wanted, and what is made good after a failure.

Nothing here waits in the hub's way. Messages leave in batches from a task of their own; a second task brings the
subscribed keys in line with the wanted ones, so subscribes never overlap and a storm of connects is a few commands.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final

from .backplane import Backplane, Missed, Receive, end, pause
from .sse import SOMETHING_CHANGED

_log = logging.getLogger("notistore.hub")

EVERYONE: Final = "*"  # a message for every stream of every node; recipients' keys begin with a digit
ANYONE: Final = "!"  # "some of what was published is lost, and no one knows to whom"

_REMEMBERED: Final = 10_000  # keys whose messages could not be published; past this it is ANYONE
_WAITING: Final = 64 * 1024 * 1024  # bytes that may wait to be published; past this they count as not publishable
_PATIENCE: Final = 5.0  # seconds for one call of the backplane


class Relay:
    """One hub's use of one backplane. All methods belong to the hub's event loop."""

    def __init__(self, backplane: Backplane, receive: Receive, missed: Missed) -> None:
        self._backplane = backplane
        self._receive = receive
        self._missed = missed
        self._node = secrets.token_bytes(8)
        self._outbox: dict[str, list[bytes]] = {}
        self._waiting = 0
        self._unpublished: set[str] = set()
        self._to_publish = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._wanted: set[str] = set()
        self._subscribed: set[str] = set()
        self._to_subscribe = asyncio.Event()
        self._subscribing = True
        self._joining: dict[str, asyncio.Future[None]] = {}
        self._opened = asyncio.Event()
        self.failing = False
        self.failures = 0
        self._tasks = [asyncio.create_task(self._keep_publishing()), asyncio.create_task(self._keep_subscribed())]

    def send(self, key: str, data: bytes) -> None:
        """Publish to a key, soon."""
        self._idle.clear()
        if self.failing or self._waiting + len(data) > _WAITING:
            self._remember([key])
        else:
            self._outbox.setdefault(key, []).append(data)
            self._waiting += len(data)
        self._to_publish.set()

    async def join(self, key: str) -> None:
        """Return once messages to this key arrive, or once it is known that they do not now and will be made good."""
        if key not in self._wanted:
            self._wanted.add(key)
            self._to_subscribe.set()
        if key in self._subscribed:
            return
        joining = self._joining.get(key)
        if joining is None:
            joining = self._joining[key] = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait([joining], timeout=_PATIENCE)
        if not done:
            joining.add_done_callback(lambda _: self._receive(key, SOMETHING_CHANGED.encode()))

    def leave(self, key: str) -> None:
        """Messages to this key are not wanted any more."""
        self._wanted.discard(key)
        self._to_subscribe.set()
        if joining := self._joining.pop(key, None):
            joining.set_result(None)  # its streams have ended

    async def drain(self) -> None:
        """Return once everything sent has been published."""
        await self._idle.wait()

    async def close(self) -> None:
        """End the tasks and the backplane; what could not be published is lost."""
        await end(*self._tasks)
        try:
            await asyncio.wait_for(self._backplane.close(), _PATIENCE)
        except Exception:
            _log.exception("the backplane could not be closed")

    def _take(self, key: str, message: bytes) -> None:
        node, data = message[: len(self._node)], message[len(self._node) :]
        if node == self._node:
            return  # its own streams have had it already
        if key == ANYONE:
            self._missed()
        else:
            self._receive(key, data)

    def _remember(self, keys: Iterable[str]) -> None:
        self._unpublished.update(keys)
        if len(self._unpublished) > _REMEMBERED:
            self._unpublished = {ANYONE}

    async def _keep_publishing(self) -> None:
        await self._opened.wait()
        attempt, failing_since = 0, 0.0
        while not _cancelled():
            await self._to_publish.wait()
            self._to_publish.clear()
            batch, self._outbox, self._waiting = self._outbox, {}, 0
            owed, self._unpublished = self._unpublished, set()
            messages = [(key, self._node + SOMETHING_CHANGED.encode()) for key in owed]
            messages += [(key, self._node + b"".join(parts)) for key, parts in batch.items()]
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._backplane.publish(messages)
            except Exception as error:
                self.failures += 1
                if not self.failing:
                    self.failing = True
                    failing_since = time.monotonic()
                    _log.warning(
                        "the backplane cannot publish (%s): streams of other processes hear nothing from here until "
                        "it can, and are then told to refetch; look after the backplane's server",
                        _why(error),
                    )
                self._remember(owed | batch.keys())
                self._to_publish.set()
                await pause(attempt)
                attempt += 1
                continue
            if self.failing:
                self.failing, attempt = False, 0
                told = "everyone was" if ANYONE in owed else f"{len(owed)} recipients were"
                seconds = time.monotonic() - failing_since
                _log.warning("the backplane publishes again after %.1f s; %s told to refetch", seconds, told)
            if not self._to_publish.is_set():
                self._idle.set()

    async def _keep_subscribed(self) -> None:
        await self._open()
        self._wanted |= {EVERYONE, ANYONE}
        self._to_subscribe.set()
        while not _cancelled():
            await self._to_subscribe.wait()
            self._to_subscribe.clear()
            added, dropped = self._wanted - self._subscribed, self._subscribed - self._wanted
            if added:
                await self._attempt(self._backplane.subscribe, added)
                self._subscribed |= added  # if not now, then on reconnect, and followed by `missed`
                for key in added:
                    if joining := self._joining.pop(key, None):
                        joining.set_result(None)
            if dropped:
                self._subscribed -= dropped  # before it is true: who joins meanwhile must subscribe anew
                await self._attempt(self._backplane.unsubscribe, dropped)

    async def _open(self) -> None:
        attempt = 0
        while not self._opened.is_set() and not _cancelled():
            try:
                await self._backplane.open(self._take, self._missed)
                self._opened.set()
            except Exception as error:
                level = logging.DEBUG if attempt else logging.WARNING  # told of once, as outages are
                _log.log(
                    level,
                    "the backplane could not be opened (%s): streams hear only what this process sends; trying again",
                    _why(error),
                    exc_info=True,
                )
                await pause(attempt)
                attempt += 1

    async def _attempt(self, call: Callable[[Collection[str]], Awaitable[None]], keys: Collection[str]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await call(keys)
            self._subscribing = True
        except Exception as error:
            level = logging.WARNING if self._subscribing else logging.DEBUG  # an outage is told of once
            self._subscribing = False
            _log.log(
                level,
                "the backplane could not %s %d keys now (%s); it does so once it is connected again",
                call.__name__,
                len(keys),
                _why(error),
            )


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _cancelled() -> bool:
    """Whether this task was cancelled and a backplane let it pass, as `asyncio.wait_for` may before Python 3.12."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
