from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from notistore import MemoryStore, Recipient

# The time that an example takes depends on what else the machine runs.
settings.register_profile("core", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("core")


class RecordingStore(MemoryStore):
    """A MemoryStore that remembers which methods were called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []


def _recorded(name: str) -> Callable[..., Awaitable[Any]]:
    async def method(self: RecordingStore, *args: Any, **options: Any) -> Any:
        self.calls.append(name)
        return await getattr(super(RecordingStore, self), name)(*args, **options)

    return method


for _name in ("insert", "insert_many", "upsert", "get", "page", "count", "unread_count"):
    setattr(RecordingStore, _name, _recorded(_name))
for _name in ("mark_read", "mark_unread", "mark_all_read", "delete"):
    setattr(RecordingStore, _name, _recorded(_name))


@pytest.fixture
def recording() -> RecordingStore:
    return RecordingStore()


@pytest.fixture
def user() -> Recipient:
    return Recipient("42")


@pytest.fixture
def noon() -> datetime:
    return datetime(2026, 11, 20, 12, 0, 0, 123_000, tzinfo=UTC)
