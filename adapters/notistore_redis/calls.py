"""The contract's calls over a redis-py client, for the async and the sync store.

Each call on one inbox is one command or one Lua script, and so atomic. Work that is too long for one script is finished
by the next call on that inbox (lua/settle.lua). The owners of ids, which may be in other slots of a cluster, are
written before a row and removed after it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from notistore._log_throttle import LogThrottle
from notistore.errors import DuplicateNotification, InvalidArgument, StoreError
from notistore.model import Cursor, Notification, Recipient

from . import keys
from .client import Client, Script
from .errors import is_about_one_inbox
from .rows import UNREAD, as_stored, from_text, sort_key, time_to_text, to_text

_INSERT: Final = Script("inbox", "once", "insert")
_UPSERT: Final = Script("inbox", "once", "upsert")
_PAGE: Final = Script("inbox", "page", write=False)
_MARK: Final = Script("inbox", "once", "jobs", "by_id", "mark")
_MARK_ALL: Final = Script("inbox", "once", "jobs", "marking", "mark_all")
_DELETE: Final = Script("inbox", "once", "jobs", "by_id", "delete")
_PRUNE: Final = Script("inbox", "once", "prune")
_ERASE: Final = Script("inbox", "erase")
_IDS: Final = Script("ids", write=False)
_SETTLE: Final = Script("inbox", "jobs", "by_id", "marking", "settle")

_log: Final = logging.getLogger("notistore.redis")

_BATCH: Final = 1000
_EVICTED: Final = {
    "rebuilding": "it is rebuilt from its rows",
    "lost": "all its notifications are lost",
}
_LAYOUT: Final = "2"  # incremented when the layout of keys or rows changes (docs/adapters/redis.md describes it)


class Calls:
    """The contract without insert_many, which is not possible on a cluster.

    Args:
        client: async or sync.
        prefix: the prefix of every key.
        keep_last: how many notifications an inbox keeps.
    """

    def __init__(self, client: Any, prefix: str, keep_last: int | None) -> None:
        if "{" in prefix or "}" in prefix:
            raise InvalidArgument(
                "prefix", f"expected one without braces, which choose a cluster's slot; got {prefix!r}"
            )
        if keep_last is not None and keep_last < 1:
            raise InvalidArgument("keep_last", f"expected a number from 1, or None to keep all; got {keep_last}")
        self._client = Client(client)
        self._keys = keys.Keys(prefix)
        self._keep_last = keep_last or 0
        self._evictions = LogThrottle()

    async def insert(self, notification: Notification) -> None:
        stem = self._keys.stem(notification.recipient)
        await self._own(notification.id, stem)
        taken, *removed = await self._run(_INSERT, stem, self._keep_last, 1, notification.id, to_text(notification))
        if taken:
            raise DuplicateNotification(taken)
        if removed:
            await self._release_ids(removed)

    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        stem = self._keys.stem(notification.recipient)
        await self._own(notification.id, stem)
        fresh = notification.version == 1 and notification.read_at is None
        sent = to_text(notification if fresh else replace(notification, version=1, read_at=None))
        created, read, version, key, *removed = await self._run(
            _UPSERT, stem, self._keep_last, int(renotify), notification.id, sent
        )
        if removed:
            await self._release_ids(removed)
        return as_stored(notification, sent, created, read, version, key)

    async def get(self, recipient: Recipient, id: str) -> Notification | None:
        stem = self._keys.stem(recipient)
        while True:
            text, job = await self._client.call("HMGET", f"{stem}:rows", id, "job")
            if job is None:
                return None if text is None else from_text(recipient, id, text)
            await self._settle(stem)

    async def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Sequence[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Sequence[Notification]:
        stem = self._keys.stem(recipient)
        which = "unread" if unread_only else "all"
        below = "+" if before is None else f"({sort_key(before)}"
        found: list[Notification] = []
        while below:
            below, offset, *rows = await self._run_settled(
                _PAGE, [stem], keys.inbox(stem), which, below, offset, limit - len(found), *(types or ())
            )
            found += (from_text(recipient, id, text) for id, text in zip(rows[::2], rows[1::2], strict=True) if text)
        return found

    async def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        return (await self._counts([recipient], "all", types, None))[0]

    async def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        return (await self._counts([recipient], "unread", types, at_most))[0]

    async def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        counts = await self._counts(recipients, "unread", types, at_most)
        return dict(zip(recipients, counts, strict=True))

    async def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        return (await self._run(_MARK, self._keys.stem(recipient), time_to_text(at), *ids))[0] if ids else 0

    async def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        return (await self._run(_MARK, self._keys.stem(recipient), UNREAD, *ids))[0] if ids else 0

    async def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        until = "" if seen is None else time_to_text(seen)
        [marked] = await self._run(_MARK_ALL, self._keys.stem(recipient), time_to_text(at), until, *(types or ()))
        return int(marked)

    async def delete(self, recipient: Recipient, *ids: str) -> int:
        removed = await self._run(_DELETE, self._keys.stem(recipient), *ids) if ids else []
        return await self._release_ids(removed)

    async def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        """Delete old rows, as the contract describes. If one inbox cannot be pruned, the others are.

        Raises:
            StoreError: Redis refused the calls on some inboxes; the others have been pruned.
        """
        pruned = 0
        refused: list[StoreError] = []
        async with aclosing(self._client.scan(self._keys.every_inbox)) as found:
            async for key in found:
                above = "-"
                while above and (left := _BATCH if limit is None else limit - pruned) > 0:
                    try:
                        above, *removed = await self._run(
                            _PRUNE, key.removesuffix(":rows"), above, time_to_text(older_than), int(only_read), left
                        )
                    except StoreError as error:
                        if not is_about_one_inbox(error):
                            raise
                        refused.append(error)
                        break
                    pruned += await self._release_ids(removed)
                if pruned == limit:
                    break
        if refused:
            raise StoreError(
                f"{len(refused)} inboxes could not be pruned; {pruned} notifications of others were. The first "
                f"error: {refused[0]}"
            ) from refused[0].__cause__
        return pruned

    async def erase(self, recipient: Recipient) -> int:
        return await self._erase(self._keys.stem(recipient))

    async def erase_tenant(self, tenant: str) -> int:
        if not tenant:  # stands for none in the keys' names, and inboxes without a tenant are none of a tenant's
            return 0
        erased = 0
        done: set[str | None] = {None}
        async with aclosing(self._client.scan(self._keys.inboxes_of(tenant))) as found:
            async for key in found:
                stem = keys.stem_of(key)
                if stem is not None and stem not in done:
                    done.add(stem)
                    erased += await self._erase(stem)
        return erased

    async def _run(self, script: Script, stem: str, *args: str | int) -> Any:
        """Run a script that writes to one inbox."""
        return await self._run_settled(script, [stem], [*keys.inbox(stem), keys.receipt(stem)], *args)

    async def _run_settled(self, script: Script, stems: Sequence[str], names: Sequence[str], *args: str | int) -> Any:
        """Run a script; if it returns the number of an inbox with pending work, settle that inbox and run the script
        again."""
        while isinstance(answer := await self._client.run(script, names, *args), int):
            await self._settle(stems[answer - 1])
        return answer

    async def _settle(self, stem: str) -> None:
        """Finish the pending work of any process in an inbox; rebuild the inbox if Redis evicted a key."""
        while (state := await self._client.run(_SETTLE, keys.inbox(stem))) != "settled":
            if state in _EVICTED:
                self._evictions.log(
                    _log.warning,
                    "Redis evicted keys of an inbox: %s. Set maxmemory-policy to noeviction or one of volatile-*",
                    _EVICTED[state],
                )

    async def _counts(
        self, recipients: Sequence[Recipient], which: str, types: Sequence[str] | None, at_most: int | None
    ) -> list[int]:
        stems = [self._keys.stem(recipient) for recipient in recipients]
        fields = [f"{which}:{type}" for type in dict.fromkeys(types or [""])]
        counts = [0] * len(stems)
        left: Sequence[int] = range(len(stems))
        while left:
            answers = await self._client.pipeline([("HMGET", f"{stems[i]}:counts", "job", *fields) for i in left])
            unsettled = []
            for i, (job, *parts) in zip(left, answers, strict=True):
                if job is not None:
                    unsettled.append(i)
                    await self._settle(stems[i])
                # A key evicted by Redis may leave negative counts, until the inbox is rebuilt.
                counts[i] = max(0, sum(int(part or 0) for part in parts))
            left = unsettled
        return counts if at_most is None else [min(count, at_most) for count in counts]

    async def _insert_many(self, notifications: Sequence[Notification]) -> None:
        if not notifications:
            return
        stems: dict[str, int] = {}
        rows: dict[str, tuple[int, str]] = {}
        for row in notifications:
            if row.id in rows:
                raise DuplicateNotification(row.id)
            inbox = stems.setdefault(self._keys.stem(row.recipient), len(stems) + 1)
            rows[row.id] = (inbox, to_text(row))
        await self._own_all(notifications)
        inboxes = [key for stem in stems for key in keys.inbox(stem)]
        receipt = keys.receipt(next(iter(stems)))
        sent = (part for id, (inbox, text) in rows.items() for part in (inbox, id, text))
        taken, *removed = await self._run_settled(_INSERT, list(stems), [*inboxes, receipt], self._keep_last, *sent)
        if taken:
            raise DuplicateNotification(taken)
        await self._release_ids(removed)

    async def create_schema(self) -> None:
        """Record the version of the keys' layout, so that a different layout below this prefix is detected. Calling it
        is optional; there is nothing else to create.

        Raises:
            StoreError: the keys below this prefix have another layout; they are not changed.
        """
        await self._client.call("SETNX", self._keys.layout, _LAYOUT)
        there = await self._client.call("GET", self._keys.layout)
        if there != _LAYOUT:
            raise StoreError(
                f"the keys beside {self._keys.layout!r} are laid out as {there!r}, not {_LAYOUT!r}; nothing was "
                "changed. Use another prefix, or the version of notistore that wrote them"
            )

    async def _erase(self, stem: str) -> int:
        """Rename the rows' keys in one step, then delete the owners of their ids and the rows.

        If that is interrupted, Redis expires the rows after two minutes, and their ids stay reserved.
        """
        rows = keys.receipt(stem)
        erased: int = await self._client.run(_ERASE, [*keys.inbox(stem), rows])
        cursor = "0" if erased else ""
        with suppress(StoreError):
            while cursor:
                cursor, *ids = await self._client.run(_IDS, [rows], cursor)
                await self._release_ids(ids)
                if cursor == "0":
                    await self._client.call("UNLINK", rows)
                    break
        return erased

    async def _own(self, id: str, stem: str) -> None:
        """Record the owner of an id before its row is written. Raises DuplicateNotification if another recipient owns
        it.

        The first writer owns it, so the same id is never in two inboxes. If the row is then not written, the id stays
        reserved for this recipient, which may insert it later. An id derived from a key needs no owner, since the
        recipient is part of the hash.
        """
        if _is_drawn(id):
            key, owner = self._keys.owners(id), keys.owner(stem)
            is_new = await self._client.call("HSETNX", key, id, owner)
            if not is_new and await self._client.call("HGET", key, id) != owner:
                raise DuplicateNotification(id)

    async def _own_all(self, rows: Iterable[Notification]) -> None:
        drawn = [row for row in rows if _is_drawn(row.id)]
        wanted = [(self._keys.owners(row.id), row.id, keys.owner(self._keys.stem(row.recipient))) for row in drawn]
        new = await self._client.pipeline([("HSETNX", *each) for each in wanted])
        known = [each for each, is_new in zip(wanted, new, strict=True) if not is_new]
        owners = await self._client.pipeline([("HGET", key, id) for key, id, _ in known])
        for (_, id, owner), theirs in zip(known, owners, strict=True):
            if theirs != owner:
                raise DuplicateNotification(id)

    async def _release_ids(self, removed: Sequence[str]) -> int:
        """Delete the owners of these ids, whose rows are deleted. Returns the number of ids.

        If this fails, the rows are deleted all the same, and their ids stay reserved.
        """
        drawn = filter(_is_drawn, removed)
        with suppress(StoreError):
            while some := list(islice(drawn, _BATCH)):
                await self._client.pipeline([("HDEL", self._keys.owners(id), id) for id in some])
        return len(removed)


def _is_drawn(id: str) -> bool:
    """Whether an id is a random UUIDv7, not the hash of a recipient and a key."""
    return id[14] == "7"
