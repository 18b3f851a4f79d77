"""A notistore adapter: notifications in Redis, one server or a cluster, through the client the application has."""

try:
    import redis  # noqa: F401
except ImportError as error:
    raise ImportError('notistore_redis needs redis-py: pip install "notistore[redis]"') from error

from .backplane import RedisBackplane
from .store import RedisStore, SyncRedisStore, open_store

__all__ = ["RedisBackplane", "RedisStore", "SyncRedisStore", "open_store"]
