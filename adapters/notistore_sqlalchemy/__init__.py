"""A notistore adapter: notifications in the database SQLAlchemy already talks to, sync or async, through Core alone."""

try:
    import sqlalchemy  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_sqlalchemy needs SQLAlchemy: pip install "notistore[sqlalchemy]"') from error

from .opening import open_store
from .schema import notifications_table
from .store import SQLAlchemyStore, SyncSQLAlchemyStore

__all__ = ["SQLAlchemyStore", "SyncSQLAlchemyStore", "notifications_table", "open_store"]
