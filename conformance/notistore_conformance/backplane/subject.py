"""What is tested: a backplane, and what the kit may do to the connection below it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from notistore.backplane import Backplane

from ..subject import entered

__all__ = ["BackplaneSubject", "made"]


@dataclass(frozen=True, slots=True)
class BackplaneSubject:
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
async def made(make_backplane: Callable[[], Any]) -> AsyncIterator[BackplaneSubject]:
    """Enter what the factory gives: a context manager or a generator, asynchronous or not, or just a backplane."""
    async with entered(make_backplane()) as thing:
        subject = thing if isinstance(thing, BackplaneSubject) else BackplaneSubject(thing)
        if not hasattr(subject.backplane, "unsubscribe"):
            raise TypeError(f"expected make_backplane to give a backplane or a BackplaneSubject, got {thing!r}")
        yield subject
