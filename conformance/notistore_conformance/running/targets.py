"""Loads what `pkg:make_store` or `NAME:URL` on a command line names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from inspect import signature
from operator import attrgetter
from typing import Any

__all__ = ["load", "load_factory"]


def load(target: str) -> Callable[[], Any]:
    """The factory that `target` names: "package.module:make_store", or "NAME:URL" for an installed store.

    Raises:
        ValueError: nothing is named so; the message says what was tried and what there is.
    """
    name, _, rest = target.partition(":")
    installed = {entry.name: entry for entry in entry_points(group="notistore.stores")}
    if name in installed:
        return partial(_imported(target, "", installed[name].load), rest)
    known = f"installed are: {', '.join(sorted(installed)) or 'none'}"
    return _factory(target, f"expected package.module:make_store, or NAME:URL with an installed store's name; {known}")


def load_factory(target: str) -> Callable[[], Any]:
    """The same for "package.module:make_backplane"."""
    return _factory(target, "expected package.module:make_backplane")


def _imported(target: str, module: str, load: Callable[[], Any]) -> Any:
    """The module, or ValueError with the reason on one line; LookupError if there is no such module."""
    try:
        return load()
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and module and f"{module}.".startswith(f"{error.name}."):
            raise LookupError(error) from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"got {target!r}, whose import raised {reason}") from error


def _factory(target: str, wanted: str) -> Callable[[], Any]:
    name, _, rest = target.partition(":")
    if not name or not rest:
        raise ValueError(f"got {target!r}; {wanted}")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does; a console script does not look where it is run
    try:
        module = _imported(target, name, partial(import_module, name))
        factory = attrgetter(rest)(module)
    except (LookupError, AttributeError) as error:
        raise ValueError(f"got {target!r}: {error}; {wanted}") from error
    if not callable(factory):
        raise ValueError(f"got {target!r}, which is not callable; {wanted}")
    try:
        signature(factory).bind()
    except TypeError as error:
        raise ValueError(
            f"got {target!r}, which cannot be called without arguments ({error}); name a function that does so"
        ) from error
    except ValueError:  # it does not say what it takes
        pass
    return partial(factory)
