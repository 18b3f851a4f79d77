"""`open_store`: opens a store by URL, for the command line and examples."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from notistore.errors import InvalidArgument

from .store import PrismaStore

__all__ = ["open_store"]


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[PrismaStore]:
    """The entry point `prisma` of the group `notistore.stores`: a store on its own client, with its table created.

    Args:
        url: Prisma's ("file:/data/app.db", "postgresql://..."), of the provider that the client was generated for.

    The client is `prisma.Prisma`, as `prisma generate` makes it where the schema sets no `output`.
    """
    try:
        make_client = import_module("prisma").Prisma
    except (ImportError, AttributeError, RuntimeError) as error:
        raise InvalidArgument(
            "url",
            "no Prisma client has been generated where `import prisma` finds it; put notistore_prisma.model(provider) "
            "into schema.prisma, set no output, and run `prisma generate`",
        ) from error
    async with make_client(datasource={"url": url}) as client:
        store = PrismaStore(client)
        await store.create_schema()
        yield store
