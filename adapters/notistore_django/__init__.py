"""The Django adapter: stores over Django's ORM, and the Django app with the model."""

try:
    import django  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_django needs Django: pip install "notistore[django]"') from error

# Not the model: Django imports this package before it lets models be imported.
from .open_url import open_store
from .store import DjangoStore, SyncDjangoStore

__all__ = ["DjangoStore", "SyncDjangoStore", "open_store"]
