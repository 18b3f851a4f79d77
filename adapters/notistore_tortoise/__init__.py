"""A notistore adapter: notifications in the database Tortoise ORM already talks to."""

try:
    import tortoise  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_tortoise needs Tortoise ORM: pip install "notistore[tortoise]"') from error

from .opening import open_store
from .store import BoundTortoiseStore, TortoiseStore

__all__ = ["BoundTortoiseStore", "TortoiseStore", "open_store"]
