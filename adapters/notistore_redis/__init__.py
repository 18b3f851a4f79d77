"""The Redis adapter: stores and a backplane over redis-py, for one server, Sentinel or a cluster."""

try:
    import redis  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_redis needs redis-py: pip install "notistore[redis]"') from error

from .backplane import RedisBackplane
from .store import RedisStore, SyncRedisStore, open_store

__all__ = ["RedisBackplane", "RedisStore", "SyncRedisStore", "open_store"]
