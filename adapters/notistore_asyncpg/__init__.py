"""AsyncpgStore: notifications in PostgreSQL through asyncpg, without an ORM."""

try:
    import asyncpg  # type: ignore[import-untyped] # noqa: F401
except ImportError as error:
    raise ImportError('notistore_asyncpg needs asyncpg: pip install "notistore[asyncpg]"') from error

from .store import AsyncpgStore, open_store

__all__ = ["AsyncpgStore", "open_store"]
