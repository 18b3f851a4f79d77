"""Streams: the registry of open subscriptions, by recipient.

A recipient is encoded as one string, its key, which is also its channel on a backplane. An address is a key, or `*`
followed by a prefix of keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from ..model import Recipient

if TYPE_CHECKING:
    from .subscription import Subscription

EVERYONE: Final = "*"
"""The address of every open stream."""


def key_of(recipient: Recipient) -> str:
    """The recipient as one string. Parts are prefixed with their lengths, so that tenant "a:b" with id "c" differs from
    tenant "a" with id "b:c"."""
    tenant, type = recipient.tenant or "", recipient.type
    return f"{len(tenant)}:{tenant}{len(type)}:{type}{recipient.id}"


def tenant_address(tenant: str | None) -> str:
    """The address of every stream of one tenant; None means the recipients without a tenant."""
    return f"{EVERYONE}{len(tenant or '')}:{tenant or ''}"


class Streams:
    """The open subscriptions of one hub."""

    def __init__(self) -> None:
        self._by_key: dict[str, dict[Subscription, None]] = {}
        self._open = 0

    def __len__(self) -> int:
        return self._open

    def __iter__(self) -> Iterator[Subscription]:
        for streams in self._by_key.values():
            yield from streams

    @property
    def recipients(self) -> int:
        """How many recipients have an open stream."""
        return len(self._by_key)

    def add(self, key: str, stream: Subscription) -> None:
        self._by_key.setdefault(key, {})[stream] = None
        self._open += 1

    def remove(self, key: str, stream: Subscription) -> bool:
        """Remove a stream. Returns whether it was the last one of its recipient."""
        streams = self._by_key[key]
        del streams[stream]
        self._open -= 1
        if streams:
            return False
        del self._by_key[key]
        return True

    def count(self, key: str) -> int:
        """How many streams this recipient has."""
        return len(self._by_key.get(key, ()))

    def has(self, address: str) -> bool:
        """Whether this address may have streams."""
        return address in self._by_key or (address.startswith(EVERYONE) and self._open > 0)

    def at(self, address: str) -> list[Subscription]:
        """The streams of this address now."""
        if not address.startswith(EVERYONE):
            return list(self._by_key.get(address, ()))
        prefix = address.removeprefix(EVERYONE)
        return [stream for key, streams in self._by_key.items() if key.startswith(prefix) for stream in streams]

    def one_each(self, address: str = EVERYONE) -> list[Subscription]:
        """One stream of each recipient of this address."""
        if not address.startswith(EVERYONE):
            return list(islice(self._by_key.get(address, ()), 1))
        prefix = address.removeprefix(EVERYONE)
        return [next(iter(streams)) for key, streams in self._by_key.items() if key.startswith(prefix)]
