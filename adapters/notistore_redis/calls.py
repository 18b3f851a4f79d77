"""The contract's calls over a client of either kind: the one body there is.

Each call on one inbox is one command or one script, so Redis itself makes it whole. What may lie in other slots of a
cluster, the owners of ids, is written before a row and removed after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from notistore.errors import DuplicateNotification, InvalidArgument, StoreError
from notistore.model import Cursor, Notification, Recipient

from . import keys
from .client import Client, Script
from .rows import UNREAD, as_stored, from_text, moment, place, to_text

_INSERT: Final = Script("insert")
_UPSERT: Final = Script("upsert")
_PAGE: Final = Script("page", write=False)
_MARK: Final = Script("mark")
_MARK_ALL: Final = Script("mark_all")
_DELETE: Final = Script("delete")
_PRUNE: Final = Script("prune")
_ERASE: Final = Script("erase")

_BATCH: Final = 1000
_LAYOUT: Final = "1"  # raised when the keys or the rows' lines become others (docs/adapters/redis.md draws them)


class Calls:
    """The contract, but for insert_many, which not every client can offer.

    Args:
        client: async or sync.
        prefix: what every key begins with.
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

    async def insert(self, notification: Notification) -> None:
        stem = self._keys.stem(notification.recipient)
        await self._own(notification.id, stem)
        taken, *removed = await self._run(_INSERT, stem, self._keep_last, 1, notification.id, to_text(notification))
        if taken:
            raise DuplicateNotification(taken)
        if removed:
            await self._disown(removed)

    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        stem = self._keys.stem(notification.recipient)
        await self._own(notification.id, stem)
        fresh = notification.version == 1 and notification.read_at is None
        sent = to_text(notification if fresh else replace(notification, version=1, read_at=None))
        created, read, version, key, *removed = await self._run(
            _UPSERT, stem, self._keep_last, int(renotify), notification.id, sent
        )
        if removed:
            await self._disown(removed)
        return as_stored(notification, sent, created, read, version, key)

    async def get(self, recipient: Recipient, id: str) -> Notification | None:
        rows, *_ = keys.inbox(self._keys.stem(recipient))
        text = await self._client.call("HGET", rows, id)
        return None if text is None else from_text(recipient, id, text)

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
        inbox = keys.inbox(self._keys.stem(recipient))
        which = "unread" if unread_only else "all"
        below = "+" if before is None else f"({place(before)}"
        found: list[Notification] = []
        while below:
            below, offset, *rows = await self._client.run(
                _PAGE, inbox, which, below, offset, limit - len(found), *(types or ())
            )
            found += (from_text(recipient, id, text) for id, text in zip(rows[::2], rows[1::2], strict=True))
        return found

    async def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        return _total(await self._client.call(*self._counting(recipient, "all", types)), None)

    async def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        return _total(await self._client.call(*self._counting(recipient, "unread", types)), at_most)

    async def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        answers = await self._client.pipeline([self._counting(each, "unread", types) for each in recipients])
        return {recipient: _total(answer, at_most) for recipient, answer in zip(recipients, answers, strict=True)}

    async def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        return (await self._run(_MARK, self._keys.stem(recipient), moment(at), *ids))[0] if ids else 0

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
        until = "" if seen is None else moment(seen)
        [marked] = await self._run(_MARK_ALL, self._keys.stem(recipient), moment(at), until, *(types or ()))
        return int(marked)

    async def delete(self, recipient: Recipient, *ids: str) -> int:
        removed = await self._run(_DELETE, self._keys.stem(recipient), *ids) if ids else []
        return await self._disown(removed)

    async def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        pruned = 0
        async with aclosing(self._client.scan(self._keys.every_inbox)) as found:
            async for key in found:
                above = "-"
                while above:
                    left = _BATCH if limit is None else limit - pruned
                    if left <= 0:
                        return pruned
                    above, *removed = await self._run(
                        _PRUNE, keys.stem_of(key), above, moment(older_than), int(only_read), left
                    )
                    pruned += await self._disown(removed)
        return pruned

    async def erase(self, recipient: Recipient) -> int:
        return await self._erase(self._keys.stem(recipient))

    async def erase_tenant(self, tenant: str) -> int:
        erased = 0
        async with aclosing(self._client.scan(self._keys.inboxes_of(tenant))) as found:
            async for key in found:
                erased += await self._erase(keys.stem_of(key))
        return erased

    def _run(self, script: Script, stem: str, *args: str | int) -> Awaitable[Any]:
        return self._client.run(script, [*keys.inbox(stem), keys.receipt(stem)], *args)

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
        taken, *removed = await self._client.run(_INSERT, [*inboxes, receipt], self._keep_last, *sent)
        if taken:
            raise DuplicateNotification(taken)
        await self._disown(removed)

    async def create_schema(self) -> None:
        """Note below the prefix how its keys are laid out, so that another layout there is found out; there is nothing
        else to create, and no need to call it.

        Raises:
            StoreError: the keys below this prefix are laid out in another way; they stay as they are.
        """
        await self._client.call("SETNX", self._keys.layout, _LAYOUT)
        there = await self._client.call("GET", self._keys.layout)
        if there != _LAYOUT:
            raise StoreError(
                f"the keys beside {self._keys.layout!r} are laid out as {there!r}, not {_LAYOUT!r}; nothing was "
                "changed. Use another prefix, or the version of notistore that wrote them"
            )

    async def _erase(self, stem: str) -> int:
        return await self._disown(await self._run(_ERASE, stem))

    def _counting(self, recipient: Recipient, which: str, types: Sequence[str] | None) -> Sequence[str]:
        stem = self._keys.stem(recipient)
        if not types:
            return "ZCARD", f"{stem}:{which}"
        return "HMGET", f"{stem}:counts", *(f"{which}:{type}" for type in dict.fromkeys(types))

    async def _own(self, id: str, stem: str) -> None:
        """Write down whose an id is to be, before its row is written; DuplicateNotification if it is another's.

        The first to write has it, so two inboxes never hold the same id. Should the row not follow, its id stays
        reserved for this recipient, who may insert it later. An id made from a key needs none of this: it is a hash
        of its recipient.
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

    async def _disown(self, removed: Sequence[str]) -> int:
        """Forget whose these ids were, now that their rows are gone; returns how many they are.

        Should this fail, the rows are gone all the same, and their ids stay reserved.
        """
        drawn = filter(_is_drawn, removed)
        with suppress(StoreError):
            while some := list(islice(drawn, _BATCH)):
                await self._client.pipeline([("HDEL", self._keys.owners(id), id) for id in some])
        return len(removed)


def _is_drawn(id: str) -> bool:
    """Whether an id is a UUIDv7, drawn by chance, rather than the hash of a recipient and a key."""
    return id[14] == "7"


def _total(answer: Any, at_most: int | None) -> int:
    total = sum(int(count or 0) for count in answer) if isinstance(answer, list) else int(answer)
    return total if at_most is None else min(total, at_most)
