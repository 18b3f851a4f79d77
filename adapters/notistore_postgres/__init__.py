"""The backplane over PostgreSQL's LISTEN and NOTIFY: carries events between processes without another server."""

try:
    import asyncpg  # type: ignore[import-untyped] # noqa: F401
except ImportError as error:
    raise ImportError('notistore_postgres needs asyncpg: pip install "notistore[postgres]"') from error

from .backplane import PostgresBackplane

__all__ = ["PostgresBackplane"]
