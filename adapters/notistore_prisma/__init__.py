"""A notistore adapter: notifications in the database Prisma Client Python already talks to, async or sync."""

from importlib.metadata import PackageNotFoundError, version

try:
    version("prisma")  # nothing to import: the client is generated, wherever the application said
except PackageNotFoundError as error:
    raise ImportError('notistore_prisma needs Prisma Client Python: pip install "notistore[prisma]"') from error

from .opening import open_store
from .schema import migration, model
from .store import PrismaStore, SyncPrismaStore

__all__ = ["PrismaStore", "SyncPrismaStore", "migration", "model", "open_store"]
