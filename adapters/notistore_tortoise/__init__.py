"""The Tortoise ORM adapter: a store over a Tortoise connection."""

try:
    import tortoise  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_tortoise needs Tortoise ORM: pip install "notistore[tortoise]"') from error

from .open_url import open_store
from .store import TortoiseStore

__all__ = ["TortoiseStore", "open_store"]
