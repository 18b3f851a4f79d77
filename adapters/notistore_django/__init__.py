"""A notistore adapter: notifications in the database a Django project already has. Also the Django app itself."""

from typing import TYPE_CHECKING, Any

try:
    import django  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_django needs Django: pip install "notistore[django]"') from error

from .opening import open_store

if TYPE_CHECKING:
    from .store import DjangoStore, SyncDjangoStore

__all__ = ["DjangoStore", "SyncDjangoStore", "open_store"]


def __getattr__(name: str) -> Any:
    # Django imports this package, being an app, before any model may be; the stores need theirs.
    if name in ("DjangoStore", "SyncDjangoStore"):
        from . import store

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
