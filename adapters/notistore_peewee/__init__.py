"""The Peewee adapter: stores over a Peewee database, sync or async."""

try:
    import peewee  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_peewee needs Peewee: pip install "notistore[peewee]"') from error

from .model import notification_model
from .open_url import open_store
from .store import PeeweeStore, SyncPeeweeStore

__all__ = ["PeeweeStore", "SyncPeeweeStore", "notification_model", "open_store"]
