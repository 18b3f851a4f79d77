"""The conformance kit: whether a store keeps the contract of `notistore.store`, check by check.

Three doors over one registry of checks: `await check_store(make_store)`, a pytest class (`NotificationStoreSuite`) and
`pytest --notistore=pkg:make_store`. Only the last two need pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .backplanes import check_backplane
    from .report import About, Outcome, Report, Result
    from .run import check_store, check_store_blocking
    from .subject import Subject
    from .suite import NotificationStoreSuite
    from .web import check_web

__all__ = [
    "About",
    "NotificationStoreSuite",
    "Outcome",
    "Report",
    "Result",
    "Subject",
    "check_backplane",
    "check_store",
    "check_store_blocking",
    "check_web",
]

# Imported when asked for: pytest loads the plugin in this package in every run, and check_store does without pytest.
_HOMES: Final = {
    "About": "report",
    "NotificationStoreSuite": "suite",
    "Outcome": "report",
    "Report": "report",
    "Result": "report",
    "Subject": "subject",
    "check_backplane": "backplanes",
    "check_store": "run",
    "check_store_blocking": "run",
    "check_web": "web",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
