"""Caches that one kind of write does not invalidate."""

from __future__ import annotations

import copy

from notistore import MemoryStore
from notistore_conformance import StoreImplementation

from ..methods import WRITES
from .registry import breaks, register


def caching(*reads, stale_after, when=lambda args, kwargs: True):
    """A MemoryStore that caches the answers of `reads` and keeps them over one method's writes."""

    class Caching(MemoryStore):
        def __init__(self):
            super().__init__()
            self.cache = {}
            self.inside = 0

    def reading(name):
        original = getattr(MemoryStore, name)

        async def read(self, *args, **kwargs):
            query = repr((name, args, kwargs))
            if query not in self.cache:
                self.cache[query] = await original(self, *args, **kwargs)
            return copy.deepcopy(self.cache[query])

        return read

    def writing(name):
        original = getattr(MemoryStore, name)

        async def write(self, *args, **kwargs):
            self.inside += 1
            try:
                return await original(self, *args, **kwargs)
            finally:
                self.inside -= 1
                if not self.inside and not (name == stale_after and when(args, kwargs)):
                    self.cache.clear()

        return write

    for name in reads:
        setattr(Caching, name, reading(name))
    for name in WRITES:
        setattr(Caching, name, writing(name))
    return Caching


def stale(name, *reads, after, promise="calls.durable", when=lambda args, kwargs: True):
    register(promise, name, __name__, caching(*reads, stale_after=after, when=when))


stale("BadgeStaleAfterUpsert", "unread_count", after="upsert")
stale(
    "BadgeStaleAfterUpsertOfOldRow",
    "unread_count",
    after="upsert",
    when=lambda args, kwargs: kwargs.get("renotify", True) and args[0].data.get("made", 2) % 2 == 0,
)
stale("BadgeStaleAfterMarkUnread", "unread_count", after="mark_unread")
stale(
    "BadgeStaleAfterMarkAllOfTypes",
    "unread_count",
    after="mark_all_read",
    when=lambda args, kwargs: bool(kwargs.get("types")),
)
stale(
    "BadgeStaleAfterMarkAllSeen",
    "unread_count",
    after="mark_all_read",
    when=lambda args, kwargs: kwargs.get("seen") is not None,
)
stale("BadgeStaleAfterDelete", "unread_count", after="delete")
stale("BadgeStaleAfterPrune", "unread_count", after="prune")
stale("BadgeStaleAfterErase", "unread_count", after="erase")
stale("BadgeStaleAfterEraseTenant", "unread_count", after="erase_tenant")
stale("BadgeStaleAfterInsertMany", "unread_count", after="insert_many")
stale("CountStaleAfterPrune", "count", after="prune")
stale("CountStaleAfterEraseTenant", "count", after="erase_tenant")
stale("CountStaleAfterDeleteOfMany", "count", after="delete", when=lambda args, kwargs: len(args) > 2)
stale("CountStaleAfterInsertMany", "count", after="insert_many")
stale(
    "PageStaleAfterQuietUpsert",
    "page",
    after="upsert",
    when=lambda args, kwargs: kwargs.get("renotify") is False,
)
stale("PageStaleAfterMarkUnread", "page", after="mark_unread")
stale("PageStaleAfterMarkOfMany", "page", after="mark_read", when=lambda args, kwargs: len(args) > 2)
stale("PageStaleAfterEraseTenant", "page", after="erase_tenant")
stale("RowStaleAfterMarkAll", "get", after="mark_all_read")
stale("RowStaleAfterUpsert", "get", after="upsert", promise="get.returns")
stale("RowStaleAfterPrune", "get", after="prune")
stale("RowStaleAfterErase", "get", after="erase")
stale("RowStillMissingAfterInsertMany", "get", after="insert_many")
stale("ManyBadgesStaleAfterMark", "unread_counts", after="mark_read", promise="unread-counts.equals-single")
stale("ManyBadgesStaleAfterUpsert", "unread_counts", after="upsert", promise="unread-counts.equals-single")


@breaks("calls.durable")
class ForgetsOnlyTheFirstRecipientsBadge(caching("unread_count", stale_after="insert_many")):
    """insert_many invalidates the badge of its first row's recipient."""

    async def insert_many(self, notifications):
        await super().insert_many(notifications)
        if not self.inside:
            who = repr(notifications[0].recipient) if notifications else "nobody"
            self.cache = {query: answer for query, answer in self.cache.items() if who not in query}


@breaks("calls.durable")
class ForgetsOnlyTheUnfilteredBadge(MemoryStore):
    """Filtered counts are cached too, but only the unfiltered one is invalidated."""

    def __init__(self):
        super().__init__()
        self.filtered = {}

    async def unread_count(self, recipient, *, types=None, at_most=None):
        if not types:
            return await super().unread_count(recipient, types=types, at_most=at_most)
        query = recipient, tuple(types), at_most
        if query not in self.filtered:
            self.filtered[query] = await super().unread_count(recipient, types=types, at_most=at_most)
        return self.filtered[query]


@breaks("calls.durable")
class PeersCacheCounts:
    """Each client caches counts and empties its own cache only."""

    @staticmethod
    def subject():
        rows = {}
        made = caching("count", stale_after=None)
        store, peer = made(), made()
        store._rows = peer._rows = rows
        return StoreImplementation(store, peer=peer)
