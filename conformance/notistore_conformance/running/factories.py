"""Factories: entering what they return, and the distribution that installed it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from importlib import metadata
from typing import Any

__all__ = ["distribution_of", "entered"]


@asynccontextmanager
async def entered(thing: Any) -> AsyncIterator[Any]:
    """Enter a context manager, generator or awaitable, synchronous or not; anything else is yielded as it is."""
    if inspect.isawaitable(thing) and not hasattr(thing, "__aenter__"):  # entering starts what may be either
        thing = await thing
    if inspect.isasyncgen(thing):
        thing = _from_async_generator(thing)
    elif inspect.isgenerator(thing):
        thing = _from_generator(thing)
    if hasattr(thing, "__aenter__"):
        async with thing as value:
            yield value
    elif hasattr(thing, "__enter__"):
        with thing as value:
            yield value
    else:
        yield thing


@asynccontextmanager
async def _from_async_generator(generator: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for value in generator:
        yield value


@contextmanager
def _from_generator(generator: Iterator[Any]) -> Iterator[Any]:
    yield from generator


def distribution_of(thing: object) -> str | None:
    """The distribution that installed this object's class, with its version, or None if unknown."""
    return _distribution_of(type(thing).__module__.partition(".")[0])


@cache  # it reads the metadata of everything that is installed
def _distribution_of(package: str) -> str | None:
    for entry in metadata.entry_points(group="notistore.stores"):  # of editable installs too
        if entry.module.partition(".")[0] == package and entry.dist is not None:
            return f"{entry.dist.name} {entry.dist.version}"
    found = metadata.packages_distributions().get(package)
    return f"{found[0]} {metadata.version(found[0])}" if found else None
