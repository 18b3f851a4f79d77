"""Translation of redis-py's exceptions into the contract's errors."""

from __future__ import annotations

from typing import Final

from redis import exceptions as redis

from notistore.errors import OutcomeUnknown, StoreError

__all__ = ["is_about_one_inbox", "store_error"]

_HINTS: Final = {
    redis.ReadOnlyError: "this server is a replica: connect to the primary, or through Sentinel",
    redis.OutOfMemoryError: "Redis has reached its maxmemory: raise it, prune, or set keep_last=",
    redis.AskError: "this server is part of a cluster: use RedisCluster as the client",
    redis.ClusterCrossSlotError: "this server is part of a cluster: use RedisCluster as the client",
}
_REFUSED_LOGIN: Final = (redis.AuthenticationError, redis.AuthorizationError)
_NO_CONNECTION: Final = ("Too many connections", "No connection available.")  # redis-py has no one class for these


def store_error(error: Exception, *, write: bool) -> StoreError:
    """The StoreError for an exception of redis-py.

    A client may send a call several times before it raises, so after an error of the connection or the cluster it is
    unknown whether a write took effect. After an error reply of the server it did not.
    """
    what = f"{type(error).__name__}: {error}"
    refused = isinstance(error, redis.ResponseError) and not isinstance(error, redis.ClusterError)
    pool_is_empty = isinstance(error, redis.MaxConnectionsError) or str(error) in _NO_CONNECTION
    if write and not (refused or pool_is_empty or isinstance(error, _REFUSED_LOGIN)):
        return OutcomeUnknown(
            f"Redis could not be reached, or its reply was lost ({what}): it is unknown whether the call took effect. "
            "Marks, deletes and keyed sends may be repeated safely"
        )
    hints = [hint for kind, hint in _HINTS.items() if isinstance(error, kind)]
    if pool_is_empty:
        hints = ["every connection of the client's pool is in use: raise max_connections"]
    return StoreError("; ".join([f"Redis failed and nothing was changed: {what}", *hints]))


def is_about_one_inbox(error: StoreError) -> bool:
    """Whether Redis refused a call on one inbox for what is stored there (a key of another type, say)."""
    return type(error.__cause__) is redis.ResponseError  # its subclasses are about the server, login or cluster
