"""SQLiteStore and SyncSQLiteStore: stores over the standard library's sqlite3, without other dependencies."""

from .store import SQLiteStore, SyncSQLiteStore, open_store

__all__ = ["SQLiteStore", "SyncSQLiteStore", "open_store"]
