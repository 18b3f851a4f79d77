"""PsycopgStore and SyncPsycopgStore: notifications in PostgreSQL through psycopg 3, without an ORM."""

try:
    import psycopg_pool  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_psycopg needs psycopg and its pool: pip install "notistore[psycopg]"') from error

from .store import PsycopgStore, SyncPsycopgStore, open_store

__all__ = ["PsycopgStore", "SyncPsycopgStore", "open_store"]
