"""What each store is measured against: the code one would write by hand with the same ORM, for the same statements.

A peer takes and returns `Row`s, a plain dataclass. It checks nothing, translates no errors and tries nothing again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from notistore import Recipient

from ..rows import Row


class Peer(Protocol):
    """The five calls measured, all of them async or none."""

    def insert(self, row: Row) -> Any: ...
    def upsert(self, row: Row) -> Any: ...
    def unread_count(self, recipient: Recipient) -> Any: ...
    def page(self, recipient: Recipient) -> Any: ...
    def mark_read(self, recipient: Recipient, id: str, at: Any) -> Any: ...


Opened = AbstractContextManager[tuple[Any, Peer]] | AbstractAsyncContextManager[tuple[Any, Peer]]


@dataclass(frozen=True)
class Case:
    """One store on one driver. `open(url)` gives the store, its table created, and its peer on the same connections."""

    adapter: str
    driver: str
    database: Literal["SQLite", "PostgreSQL", "Redis"]
    open: Callable[[str], Opened]

    @property
    def name(self) -> str:
        return f"{self.adapter}, {self.driver}"
