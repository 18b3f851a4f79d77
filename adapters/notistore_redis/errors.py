"""redis-py's errors as the contract's."""

from __future__ import annotations

from typing import Final

from redis import exceptions as redis

from notistore.errors import OutcomeUnknown, StoreError

__all__ = ["FAILURES", "told"]

FAILURES: Final = (redis.RedisError, redis.RedisClusterException, OSError)
"""What redis-py raises where a call could not be made."""

_HINTS: Final = {
    redis.ReadOnlyError: "this server is a replica: connect to the primary, or through Sentinel",
    redis.OutOfMemoryError: "Redis has reached its maxmemory: raise it, prune, or set keep_last=",
    redis.AskError: "this server is part of a cluster: use RedisCluster as the client",
    redis.ClusterCrossSlotError: "this server is part of a cluster: use RedisCluster as the client",
}
_REFUSED_LOGIN: Final = (redis.AuthenticationError, redis.AuthorizationError)
_NO_CONNECTION: Final = ("Too many connections", "No connection available.")  # redis-py has no one class for these


def told(error: Exception, *, write: bool) -> StoreError:
    """One of `FAILURES` as the StoreError to raise from it.

    A client may have sent a call several times before it gives up, so of a write that met any error of the connection
    or the cluster nobody can say whether one of them arrived. What the server itself refused did not happen.
    """
    what = f"{type(error).__name__}: {error}"
    refused = isinstance(error, redis.ResponseError) and not isinstance(error, redis.ClusterError)
    pool_is_empty = isinstance(error, redis.MaxConnectionsError) or str(error) in _NO_CONNECTION
    if write and not (refused or pool_is_empty or isinstance(error, _REFUSED_LOGIN)):
        return OutcomeUnknown(
            f"Redis could not be reached, or its answer was lost ({what}): what was asked happened wholly or not "
            "at all. Marks, deletes and keyed sends may be repeated safely"
        )
    hints = [hint for kind, hint in _HINTS.items() if isinstance(error, kind)]
    if pool_is_empty:
        hints = ["every connection of the client's pool is taken: raise max_connections"]
    return StoreError("; ".join([f"Redis failed and nothing was changed: {what}", *hints]))
