from contextlib import AsyncExitStack, asynccontextmanager

from custom_store import open_store

from notistore_conformance import NotificationStoreSuite, StoreImplementation


class TestSqlite3Store(NotificationStoreSuite):
    @asynccontextmanager
    async def make_store(self):
        async with AsyncExitStack() as stack:
            store, peer = [await stack.enter_async_context(open_store("rows.db")) for _ in range(2)]
            yield StoreImplementation(store, peer=peer, no_outage="an embedded database", processes=True)
