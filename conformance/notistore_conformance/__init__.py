"""The conformance kit: whether a store keeps the contract of `notistore.store`, check by check; and whether a backplane
keeps that of `notistore.backplane`, and a server that of docs/wire.md.

Three doors over one registry of checks for each: `await check_store(make_store)`, a pytest class
(`NotificationStoreSuite`) and `pytest --notistore=pkg:make_store`. Only the last two need pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .backplane import BackplaneSubject
    from .report import About, Outcome, Report, Result
    from .run import (
        check_backplane,
        check_backplane_blocking,
        check_store,
        check_store_blocking,
        check_web,
        check_web_blocking,
    )
    from .subject import Subject
    from .suite import BackplaneSuite, NotificationStoreSuite, WebSuite
    from .web import Mount

__all__ = [
    "About",
    "BackplaneSubject",
    "BackplaneSuite",
    "Mount",
    "NotificationStoreSuite",
    "Outcome",
    "Report",
    "Result",
    "Subject",
    "WebSuite",
    "check_backplane",
    "check_backplane_blocking",
    "check_store",
    "check_store_blocking",
    "check_web",
    "check_web_blocking",
]

# Imported when asked for: pytest loads the plugin in this package in every run, and check_store does without pytest.
_HOMES: Final = {
    "About": "report",
    "BackplaneSubject": "backplane",
    "BackplaneSuite": "suite",
    "Mount": "web",
    "NotificationStoreSuite": "suite",
    "Outcome": "report",
    "Report": "report",
    "Result": "report",
    "Subject": "subject",
    "WebSuite": "suite",
    "check_backplane": "run",
    "check_backplane_blocking": "run",
    "check_store": "run",
    "check_store_blocking": "run",
    "check_web": "run",
    "check_web_blocking": "run",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
