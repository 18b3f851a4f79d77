"""A notistore adapter: notifications in the database Peewee already talks to, sync or async."""

try:
    import peewee  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_peewee needs Peewee: pip install "notistore[peewee]"') from error

from .model import notification_model
from .opening import open_store
from .store import PeeweeStore, SyncPeeweeStore

__all__ = ["PeeweeStore", "SyncPeeweeStore", "notification_model", "open_store"]
