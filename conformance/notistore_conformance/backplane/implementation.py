"""The object under test: a backplane, and how the kit can interrupt its connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from notistore.hub.backplane import Backplane

from ..running.factories import entered

__all__ = ["BackplaneImplementation", "made"]


@dataclass(frozen=True, slots=True)
class BackplaneImplementation:
    """A backplane to test and what the kit may use beside it. Yield it in place of the backplane to have more checked.

    Attributes:
        backplane: not open yet; the kit opens and closes it.
        outage: a context manager, asynchronous or not; while it is entered no backplane can reach the server, and once
            it is left all can.
        half_open: a function, asynchronous or not, after which the connections that this backplane has are dead
            without being closed, while new ones work.
        backend: what carries its messages and which version of it, for the report ("Redis 8.0").
    """

    backplane: Backplane
    outage: Callable[[], Any] | None = None
    half_open: Callable[[], Any] | None = None
    backend: str | None = None


@asynccontextmanager
async def made(make_backplane: Callable[[], Any]) -> AsyncIterator[BackplaneImplementation]:
    """Enter the factory's result: a context manager or a generator, synchronous or asynchronous, or a backplane."""
    async with entered(make_backplane()) as thing:
        implementation = thing if isinstance(thing, BackplaneImplementation) else BackplaneImplementation(thing)
        if not hasattr(implementation.backplane, "unsubscribe"):
            raise TypeError(f"expected make_backplane to give a backplane or a BackplaneImplementation, got {thing!r}")
        yield implementation
