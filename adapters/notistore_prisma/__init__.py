"""A notistore adapter: notifications in the database Prisma Client Python already talks to, async or sync."""

try:
    import httpx  # noqa: F401  # comes with the client, which itself is generated, wherever the application said
except ImportError as error:
    raise ImportError('notistore_prisma needs Prisma Client Python: pip install "notistore[prisma]"') from error

from .opening import open_store
from .schema import migration, model
from .store import PrismaStore, SyncPrismaStore

__all__ = ["PrismaStore", "SyncPrismaStore", "migration", "model", "open_store"]
