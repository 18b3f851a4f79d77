"""Errors: a driver's own that come out of one method, causes that are lost, and connections that stay broken."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager

from notistore import MemoryStore, StoreError
from notistore_conformance import StoreImplementation

from ..methods import METHODS
from .registry import breaks, register


class DriverError(Exception):
    """An exception of the driver."""


class Failing(MemoryStore):
    """A store whose database can be down: each call raises StoreError from the driver's error."""

    down = False

    def failed(self, name):
        error = StoreError("the server cannot be reached")
        error.__cause__ = DriverError("connection refused")
        raise error

    async def create_schema(self):
        if self.down:
            self.failed("create_schema")

    @contextmanager
    def outage(self):
        self.down = True
        try:
            yield
        finally:
            self.down = False

    @classmethod
    @asynccontextmanager
    async def subject(cls):
        store = cls()
        yield StoreImplementation(store, outage=store.outage)


def fails(name):
    original = getattr(MemoryStore, name)

    async def call(self, *args, **kwargs):
        if self.down:
            self.failed(name)
        return await original(self, *args, **kwargs)

    return call


for _name in METHODS:
    setattr(Failing, _name, fails(_name))


def leaks_driver_errors(fault, *methods):
    class Leaks(Failing):
        def failed(self, name):
            if name in methods:
                raise DriverError("connection refused")
            super().failed(name)

    register("calls.errors", fault, __name__, Leaks.subject)


leaks_driver_errors("InsertManyLeaksDriverErrors", "insert_many")
leaks_driver_errors("ManyBadgesLeakDriverErrors", "unread_counts")
leaks_driver_errors("PruneLeaksDriverErrors", "prune")
leaks_driver_errors("EraseLeaksDriverErrors", "erase")
leaks_driver_errors("EraseTenantLeaksDriverErrors", "erase_tenant")
leaks_driver_errors("CreateSchemaLeaksDriverErrors", "create_schema")


@breaks("calls.errors")
class ErrorsOfOptionalPartsHaveNoCause(Failing):
    def failed(self, name):
        if name in ("prune", "erase", "insert_many"):
            raise StoreError("something went wrong")
        super().failed(name)


@breaks("calls.errors")
class AnswersEmptyWhenItIsDown(Failing):
    """Returns counts of zero instead of raising."""

    async def unread_counts(self, recipients, **query):
        return dict.fromkeys(recipients, 0) if self.down else await MemoryStore.unread_counts(self, recipients, **query)


@breaks("calls.errors")
class NeverWorksAgainForBulk(Failing):
    """insert_many keeps the connection that broke."""

    broken = False

    async def insert_many(self, notifications):
        self.broken = self.broken or self.down
        if (self.broken and len(notifications) > 1) or self.down:
            self.failed("insert_many")
        await MemoryStore.insert_many(self, notifications)
