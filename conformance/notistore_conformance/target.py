"""What `pkg:make_store` and `NAME:URL` name on a command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any

__all__ = ["load"]


def load(target: str) -> Callable[[], Any]:
    """The factory that `target` names: "package.module:make_store", or "NAME:URL" for an installed store.

    Raises:
        ValueError: nothing is named so; the message says what was tried and what there is.
    """
    name, _, rest = target.partition(":")
    installed = {entry.name: entry for entry in entry_points(group="notistore.stores")}
    if name in installed:
        return partial(installed[name].load(), rest)
    wanted = "expected package.module:make_store, or NAME:URL with an installed store's name"
    known = f"installed are: {', '.join(sorted(installed)) or 'none'}"
    if not name or not rest:
        raise ValueError(f"{wanted}, got {target!r}; {known}")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does; a console script does not look where it is run
    try:
        factory = attrgetter(rest)(import_module(name))
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{wanted}, got {target!r}: {error}; {known}") from error
    if not callable(factory):
        raise ValueError(f"{wanted}, got {target!r}, which is not callable")
    return partial(factory)
