"""The stores that are installed: every package, first-party or not, that declares an entry point in one group.

The entry's value opens a store from a URL: `open_store(url)` returns an async context manager whose value is a
`NotificationStore`, ready to use (with its schema, where it has one) and closed when the context is left.
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
    """One entry of the group `notistore.stores`.

    Attributes:
        name: what comes before the colon in NAME:URL.
        target: where its opener lives ("package:function").
        distribution: what installed it, with its version.
    """

    name: str
    target: str
    distribution: str
    _entry: EntryPoint = field(repr=False)

    def load(self) -> OpenStore:
        """Import its opener. Raises ImportError, naming the extra to install, where its ORM is missing."""
        opener: OpenStore = self._entry.load()
        return opener


def installed_stores() -> list[InstalledStore]:
    """Every installed store, by name."""
    found = [
        InstalledStore(
            entry.name, entry.value, f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown", entry
        )
        for entry in entry_points(group=GROUP)
    ]
    return sorted(found, key=lambda store: store.name)


def find_store(spec: str) -> tuple[OpenStore, str]:
    """The opener and URL that NAME:URL names.

    Raises:
        InvalidArgument: no store of that name is installed; the message lists those that are.
        ImportError: its ORM is missing.
    """
    name, colon, url = spec.partition(":")
    for store in installed_stores():
        if colon and store.name == name:
            return store.load(), url
    names = ", ".join(store.name for store in installed_stores())
    raise InvalidArgument("store", f"expected NAME:URL with NAME one of {names}; got {spec!r}")
