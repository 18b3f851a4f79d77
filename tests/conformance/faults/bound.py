"""Bound stores that write or read outside the host's transaction, and savepoints inside savepoints."""

from __future__ import annotations

from contextlib import contextmanager

from notistore import DuplicateNotification, MemoryStore

from ..broken_stores import BoundMemoryStore, Session, TransactionalStore
from .registry import breaks, register


def outside(name, promise, *methods):
    """A bound store some of whose methods work on a connection of the store's own."""

    class Outside(TransactionalStore):
        def bind(self, session):
            bound = super().bind(session)
            for method in methods:
                setattr(bound, method, getattr(self, method))
            return bound

    Outside.__name__ = Outside.__qualname__ = name
    register(promise, name, __name__, Outside.subject)


class Transactional(TransactionalStore):
    """Commits the transaction's writes, and keeps concurrent writes from outside it."""

    def commit(self, session):
        self._rows.update(session.rows)
        for id in session.first - session.rows.keys():
            self._rows.pop(id, None)
        for callback in session.callbacks:
            callback()

    @contextmanager
    def transaction(self):
        session = Session(self._rows)
        session.first = frozenset(session.rows)
        yield session
        self.commit(session)


def outside_writes(name, *methods):
    class Outside(Transactional):
        def bind(self, session):
            bound = super().bind(session)
            for method in methods:
                setattr(bound, method, self.both(session, method))
            return bound

        def both(self, session, method):
            """Writes immediately, outside the host's transaction."""

            async def call(*args, **kwargs):
                answer = await getattr(self, method)(*args, **kwargs)
                await getattr(BoundMemoryStore, method)(self.bound(session), *args, **kwargs)
                return answer

            return call

    register("bind.rollback", name, __name__, Outside.subject)


outside_writes("BoundMarkReadWritesOutside", "mark_read")
outside_writes("BoundMarkUnreadWritesOutside", "mark_unread")
outside_writes("BoundMarkAllOfTypesWritesOutside", "mark_all_read")
outside_writes("BoundInsertManyWritesOutside", "insert_many")
outside_writes("BoundPruneWritesOutside", "prune")
outside_writes("BoundEraseWritesOutside", "erase")
outside_writes("BoundEraseTenantWritesOutside", "erase_tenant")
outside("BoundCountReadsOutside", "bind.commit", "count")
outside("BoundBadgeReadsOutside", "bind.commit", "unread_count")
outside("BoundBadgesReadOutside", "bind.commit", "unread_counts")
outside("BoundGetReadsOutside", "bind.commit", "get")


@breaks("bind.never-commits")
class BoundInsertManySpoiltByADuplicate(TransactionalStore):
    class bound(BoundMemoryStore):  # noqa: N801
        async def insert_many(self, notifications):
            try:
                await super().insert_many(notifications)
            except DuplicateNotification:
                if len(notifications) > 1:
                    self._rows.clear()
                raise


@breaks("bind.never-commits")
class BoundUpsertCommits(Transactional):
    def bind(self, session):
        bound, plain = super().bind(session), self

        async def upsert(notification, *, renotify=True):
            stored = await MemoryStore.upsert(bound, notification, renotify=renotify)
            if stored.version > 2:
                plain._rows.update(session.rows)
            return stored

        bound.upsert = upsert
        return bound


@breaks("bind.rollback")
class InnerSavepointsRollBackTheOuter(TransactionalStore):
    """All savepoints have one name: rolling back the inner one rolls back to the outer one's begin."""

    depth = 0
    first = None

    @contextmanager
    def savepoint(self, session):
        self.depth += 1
        if self.depth == 1:
            self.first = dict(session.rows), len(session.callbacks)
        try:
            yield
        except BaseException:
            session.rows.clear()
            session.rows.update(self.first[0])
            self.forget(session, self.first[1])
            raise
        finally:
            self.depth -= 1


@breaks("bind.after-commit")
class ReleasedSavepointsCallBackForever(TransactionalStore):
    """A callback of a released inner savepoint is called though the outer one was rolled back."""

    depth = 0
    released = ()

    @contextmanager
    def savepoint(self, session):
        before = len(session.callbacks)
        self.depth += 1
        try:
            with super().savepoint(session):
                yield
        except BaseException:
            if self.depth == 1:
                session.callbacks.extend(self.released)
            raise
        else:
            if self.depth > 1:
                self.released = session.callbacks[before:]
        finally:
            self.depth -= 1
            if not self.depth:
                self.released = ()


@breaks("bind.after-commit")
class CallsBackOnceForTwoCallbacks(TransactionalStore):
    def commit(self, session):
        session.callbacks = list(dict.fromkeys(session.callbacks))[:1] + list(dict.fromkeys(session.callbacks))[2:]
        super().commit(session)


@breaks("bind.after-commit")
class CallsBackTwiceAfterASavepoint(TransactionalStore):
    @contextmanager
    def savepoint(self, session):
        before = len(session.callbacks)
        with super().savepoint(session):
            yield
        session.callbacks.extend(session.callbacks[before:])
