"""The runner for each kind of checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..registry import Kind
from .runner import Runner

__all__ = ["runner_of"]


def runner_of(kind: Kind, make: Callable[[], Any], **options: Any) -> Runner[Any]:
    """The runner for checks of this kind on the result of `make`; `options` are those of `Runner`."""
    if kind == "store":
        from ..store.runner import StoreRunner

        return StoreRunner(make, **options)
    if kind == "backplane":
        from ..backplane.runner import BackplaneRunner

        return BackplaneRunner(make, **options)
    from ..web.runner import WebRunner

    return WebRunner(make, **options)
