"""The conformance kit: whether a store keeps the contract of `notistore.store`, check by check; and whether a backplane
keeps that of `notistore.hub.backplane`, and a server that of docs/wire.md.

Three ways to run one registry of checks for each: `await check_store(make_store)`, a pytest class
(`NotificationStoreSuite`) and `pytest --notistore=pkg:make_store`. Only the last two need pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .api import (
        check_backplane,
        check_backplane_blocking,
        check_store,
        check_store_blocking,
        check_web,
        check_web_blocking,
    )
    from .backplane import BackplaneImplementation
    from .pytest_plugin.suites import BackplaneSuite, NotificationStoreSuite, WebSuite
    from .reports.report import About, Outcome, Report, Result
    from .store.implementation import StoreImplementation
    from .web import Mount

__all__ = [
    "About",
    "BackplaneImplementation",
    "BackplaneSuite",
    "Mount",
    "NotificationStoreSuite",
    "Outcome",
    "Report",
    "Result",
    "StoreImplementation",
    "WebSuite",
    "check_backplane",
    "check_backplane_blocking",
    "check_store",
    "check_store_blocking",
    "check_web",
    "check_web_blocking",
]

# Imported when asked for: pytest loads the plugin in this package in every run, and check_store does without pytest.
_MODULES: Final = {
    "About": "reports.report",
    "BackplaneImplementation": "backplane",
    "BackplaneSuite": "pytest_plugin.suites",
    "Mount": "web",
    "NotificationStoreSuite": "pytest_plugin.suites",
    "Outcome": "reports.report",
    "Report": "reports.report",
    "Result": "reports.report",
    "StoreImplementation": "store.implementation",
    "WebSuite": "pytest_plugin.suites",
    "check_backplane": "api",
    "check_backplane_blocking": "api",
    "check_store": "api",
    "check_store_blocking": "api",
    "check_web": "api",
    "check_web_blocking": "api",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
