"""The Prisma adapter: stores over Prisma Client Python, async or sync."""

from importlib.metadata import PackageNotFoundError, version

try:
    version("prisma")  # nothing to import: the client is generated in a package of the application's choice
except PackageNotFoundError as error:
    raise ImportError('notistore_prisma needs Prisma Client Python: pip install "notistore[prisma]"') from error

from .open_url import open_store
from .schema import migration, model
from .store import PrismaStore, SyncPrismaStore

__all__ = ["PrismaStore", "SyncPrismaStore", "migration", "model", "open_store"]
