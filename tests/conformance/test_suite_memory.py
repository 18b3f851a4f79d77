"""MemoryStore through the pytest door."""

from contextlib import asynccontextmanager

from notistore import MemoryStore
from notistore_conformance import NotificationStoreSuite


class TestMemoryStore(NotificationStoreSuite):
    @asynccontextmanager
    async def make_store(self):
        yield MemoryStore()
