"""Finds the installed stores: those that any installed package declares as an entry point in `notistore.stores`.

The entry point is a function that opens a store by URL: `open_store(url)` returns an async context manager whose value
is a `NotificationStore`. The store is ready to use (its schema exists) and is closed when the context exits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Final, TypeAlias

from .errors import InvalidArgument
from .store import NotificationStore

__all__ = ["GROUP", "InstalledStore", "OpenStore", "find_store", "installed_stores"]

GROUP: Final = "notistore.stores"

OpenStore: TypeAlias = Callable[[str], AbstractAsyncContextManager[NotificationStore]]


@dataclass(frozen=True, slots=True)
class InstalledStore:
    """One entry point of the group `notistore.stores`.

    Attributes:
        name: the part before the colon in NAME:URL.
        target: the function that opens the store ("package:function").
        distribution: the name and version of the distribution that declares it.
    """

    name: str
    target: str
    distribution: str
    _entry: EntryPoint = field(repr=False)

    def load(self) -> OpenStore:
        """Import the function that opens the store. An ImportError names the extra to install."""
        opener: OpenStore = self._entry.load()
        return opener


def installed_stores() -> list[InstalledStore]:
    """Every installed store, sorted by name."""
    found = [
        InstalledStore(
            entry.name, entry.value, f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown", entry
        )
        for entry in entry_points(group=GROUP)
    ]
    return sorted(found, key=lambda store: store.name)


def find_store(spec: str) -> tuple[OpenStore, str]:
    """Split NAME:URL into the function that opens the store of that name, and the URL to open.

    Raises:
        InvalidArgument: no store of that name is installed; the message lists the installed ones.
        ImportError: the store's ORM is missing.
    """
    name, colon, url = spec.partition(":")
    for store in installed_stores():
        if colon and store.name == name:
            return store.load(), url
    names = ", ".join(store.name for store in installed_stores())
    raise InvalidArgument("store", f"expected NAME:URL with NAME one of {names}; got {spec!r}")
