"""The Django adapter: stores over Django's ORM, and the Django app with the model."""

from typing import TYPE_CHECKING, Any

try:
    import django  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_django needs Django: pip install "notistore[django]"') from error

from .open_url import open_store

if TYPE_CHECKING:
    from .store import DjangoStore, SyncDjangoStore

__all__ = ["DjangoStore", "SyncDjangoStore", "open_store"]


def __getattr__(name: str) -> Any:
    # Imported on first access: Django imports this app package before models may be imported.
    if name in ("DjangoStore", "SyncDjangoStore"):
        from . import store

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
