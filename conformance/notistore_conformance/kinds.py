"""What can be checked: stores, backplanes and web mounts, each with checks of its own, behind the same doors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .registry import Check, registered
from .report import Kind
from .stage import Stage

__all__ = ["checks_of", "stage_of"]


def checks_of(kind: Kind) -> Mapping[str, Check]:
    """Every check of this kind by its id, in reading order."""
    if kind == "store":
        return registered()
    if kind == "backplane":
        from .backplane import BACKPLANE_CHECKS

        return BACKPLANE_CHECKS
    from .web import WEB_CHECKS

    return WEB_CHECKS


def stage_of(kind: Kind, make: Callable[[], Any], **options: Any) -> Stage[Any]:
    """Where the checks of this kind are run on what `make` gives."""
    if kind == "store":
        from .runner import Run

        return Run(make, **options)
    if kind == "backplane":
        from .backplane import BackplaneStage

        return BackplaneStage(make, **options)
    from .web import WebStage

    return WebStage(make, **options)
