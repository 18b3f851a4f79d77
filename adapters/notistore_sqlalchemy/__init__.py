"""The SQLAlchemy adapter: stores over a SQLAlchemy engine, sync or async, through SQLAlchemy Core."""

try:
    import sqlalchemy  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_sqlalchemy needs SQLAlchemy: pip install "notistore[sqlalchemy]"') from error

from .open_url import open_store
from .schema import notifications_table
from .store import SQLAlchemyStore, SyncSQLAlchemyStore

__all__ = ["SQLAlchemyStore", "SyncSQLAlchemyStore", "notifications_table", "open_store"]
