"""The names of a store's methods, those of the optional parts included."""

from __future__ import annotations

from typing import Final

__all__ = ["METHODS", "READS", "WRITES"]

READS: Final = ("get", "page", "count", "unread_count", "unread_counts")
WRITES: Final = (
    "insert",
    "insert_many",
    "upsert",
    "mark_read",
    "mark_unread",
    "mark_all_read",
    "delete",
    "prune",
    "erase",
    "erase_tenant",
)
METHODS: Final = (*READS, *WRITES)
