"""Simulated users of an application during a failure: what was acknowledged to them, and what they saw."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

from notistore import Recipient
from notistore.ids import keyed_id
from notistore.store import NotificationStore

from .http import NoResponse, request
from .page import Page

RECOVERY_TIMEOUT: Final = 180.0  # seconds until a scenario that has not recovered fails
SETTLED: Final = 40.0  # seconds after which a badge that is still wrong stays so until its stream's lifetime is over
KEY: Final = "progress"


@dataclass
class User:
    """One recipient, and the writes that were acknowledged to them.

    Attributes:
        sent: ids of sends that were acknowledged, with the loop's time of each acknowledgement.
        read: ids whose mark was acknowledged.
        updates: acknowledged updates of one key.
        last_update: the number in the last of these.
    """

    name: str
    sent: dict[str, float] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    updates: int = 0
    last_update: int = 0
    longest_wait: float = 0.0
    acknowledged_at: float = 0.0


@dataclass
class Figures:
    """The measurements of one scenario.

    Attributes:
        acknowledged: writes that a user got a success response for.
        lost: those of them that are missing from the store in the end.
        unacknowledged: sends that are stored and were not acknowledged.
        errors: how often users got each error.
        samples: the first message of each.
        longest_wait: the longest time in seconds in which a user could not write.
        quiet: pages that received the frame of one write during the failure.
        late: those of them whose badge was right only more than a second after the write was acknowledged.
        latest: seconds after which the last of these was right.
        wrong: pages whose badge was still wrong after 40 seconds.
    """

    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    unacknowledged: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    samples: dict[str, str] = field(default_factory=dict)
    longest_wait: float = 0.0
    quiet: int = 0
    late: int = 0
    latest: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Users:
    """Busy users, who are written to continuously, and quiet ones, who get one notification during the failure.

    A later event corrects a badge that missed an earlier one, so only the badges of quiet users are evaluated.

    Args:
        addresses: of the web processes; users are spread over them.
        pages: how many pages are open; the busy and the quiet users have one each, and others what is left.
    """

    def __init__(self, addresses: Sequence[str], *, busy: int = 16, quiet: int = 24, pages: int = 40) -> None:
        self._addresses = addresses
        self._busy = [User(f"busy-{n}") for n in range(busy)]
        self._quiet = [User(f"quiet-{n}") for n in range(quiet)]
        self._idle = [User(f"idle-{n}") for n in range(pages - busy - quiet)]
        self._stopped = asyncio.Event()
        self._changed = asyncio.Condition()
        self._figures = Figures()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Keep all pages open for the block, which begins once each busy user has been written to a few times."""
        users = [*self._busy, *self._quiet, *self._idle]
        self._address_of = {user.name: address for user, address in zip(users, cycle(self._addresses), strict=False)}
        self._pages = [Page(address, name, self._notify) for name, address in self._address_of.items()]
        async with asyncio.TaskGroup() as self._group:
            showing = [self._group.create_task(page.stay_open()) for page in self._pages]
            async with asyncio.timeout(RECOVERY_TIMEOUT):
                for page in self._pages:
                    await page.connected.wait()
            self._writing = [self._group.create_task(self._write_continuously(user)) for user in self._busy]
            async with asyncio.timeout(RECOVERY_TIMEOUT):
                await self._wait_for(lambda: all(len(user.sent) > 2 for user in self._busy))
            yield
            for task in showing:
                task.cancel()

    def write_to_quiet_users(self) -> None:
        """Send each quiet user one notification in the next seconds, retried until it is acknowledged."""
        for n, user in enumerate(self._quiet):
            self._writing.append(self._group.create_task(self._write_once(user, n * 0.25)))

    async def wait_until_recovered(self) -> None:
        """Return once a write to every user was acknowledged again."""
        now = asyncio.get_running_loop().time()
        async with asyncio.timeout(RECOVERY_TIMEOUT):
            await self._wait_for(
                lambda: (
                    all(user.acknowledged_at > now for user in self._busy) and all(user.sent for user in self._quiet)
                )
            )

    async def verify(self, store: NotificationStore) -> Figures:
        """Stop writing; compare what is stored with what was acknowledged, and the badges with what is stored."""
        self._stopped.set()
        await asyncio.gather(*self._writing)
        figures = self._figures
        for user in [*self._busy, *self._quiet]:
            await self._compare(user, store)
        expected = {page.user: await store.unread_count(Recipient(page.user)) for page in self._pages}
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLED):
                await self._wait_for(lambda: all(page.badge == expected[page.user] for page in self._pages))
        figures.quiet = len(self._quiet)
        figures.wrong = [
            f"{page.user} shows {page.badge}, not {expected[page.user]}"
            for page in self._pages
            if page.badge != expected[page.user]
        ]
        quiet = {user.name: max(user.sent.values()) for user in self._quiet}
        delays = [max(0.0, p.right_since - quiet[p.user]) for p in self._pages if p.user in quiet]
        figures.late = sum(delay > 1 for delay in delays)
        figures.latest = max(delays)
        figures.longest_wait = max(user.longest_wait for user in [*self._busy, *self._quiet])
        figures.errors += Counter(f"{status} for a stream" for page in self._pages for status in page.refused)
        return figures

    async def _write_continuously(self, user: User) -> None:
        user.acknowledged_at = asyncio.get_running_loop().time()
        turn = 0
        while not self._stopped.is_set():
            turn += 1
            if id := await self._post(user, f"/send/{user.name}", {"n": turn}):
                user.sent[id] = user.acknowledged_at
            if turn % 2 == 0 and await self._post(user, f"/send/{user.name}?key={KEY}", {"n": turn}):
                user.updates += 1
                user.last_update = turn
            if turn % 3 == 0 and user.sent:
                id = random.choice(list(user.sent))
                if await self._post(user, f"/notifications/{id}/read") is not None:
                    user.read.add(id)
            await asyncio.sleep(0.1)

    async def _write_once(self, user: User, delay: float) -> None:
        await asyncio.sleep(delay)
        user.acknowledged_at = asyncio.get_running_loop().time()
        while True:
            if id := await self._post(user, f"/send/{user.name}", {}):
                user.sent[id] = user.acknowledged_at
                return
            await asyncio.sleep(0.25)

    async def _post(self, user: User, path: str, body: object = None) -> str | None:
        """The response's text, or None if the write was not acknowledged."""
        figures = self._figures
        address, headers = self._address_of[user.name], {"x-user": user.name, "content-type": "application/json"}
        try:
            answer = await request(address, "POST", path, headers, json.dumps(body))
        except NoResponse as error:
            figures.errors[f"no answer ({error})"] += 1
            return None
        if answer.status not in (200, 204):
            what = str(answer.status)
            if path.startswith("/send/") and answer.status in (500, 503):
                what += f" {answer.text.partition(':')[0]}" if ":" in answer.text[:40] else ""
            figures.errors[what] += 1
            figures.samples.setdefault(what, answer.text)
            return None
        now = asyncio.get_running_loop().time()
        user.longest_wait = max(user.longest_wait, now - user.acknowledged_at)
        user.acknowledged_at = now
        figures.acknowledged += 1
        await self._notify()
        return answer.text

    async def _notify(self) -> None:
        """Wake the waiting conditions: a write was acknowledged, or a badge has changed."""
        async with self._changed:
            self._changed.notify_all()

    async def _wait_for(self, holds: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(holds)

    async def _compare(self, user: User, store: NotificationStore) -> None:
        figures, recipient = self._figures, Recipient(user.name)
        rows = {row.id: row for row in await store.page(recipient, limit=100_000)}
        figures.lost += [f"{user.name}: send of {id}" for id in user.sent if id not in rows]
        unread = {id for id, row in rows.items() if row.read_at is None}
        figures.lost += [f"{user.name}: mark of {id}" for id in user.read & unread]
        kept = rows.pop(keyed_id(recipient, KEY), None)
        if user.updates and (kept is None or kept.version < user.updates or kept.data["n"] < user.last_update):
            seen = "nothing" if kept is None else f"version {kept.version}, n {kept.data['n']}"
            figures.lost.append(f"{user.name}: {user.updates} updates, the last with n {user.last_update}; kept {seen}")
        figures.unacknowledged += len(rows.keys() - user.sent.keys())
        counted = await store.unread_count(recipient)
        assert counted == len(unread), f"{user.name} has {len(unread)} unread rows, and unread_count says {counted}"
