"""The checks of the wire."""

from __future__ import annotations

from functools import partial
from typing import Final

from ..registry import Check, check

__all__ = ["WEB_CHECKS", "web_check"]

WEB_CHECKS: Final[dict[str, Check]] = {}
"""Every check of a web mount by its id, in reading order."""

web_check = partial(check, into=WEB_CHECKS, seconds=60.0)
