"""The checks as pytest items, for a run that has no test file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .registry import CONTRACT, Check, as_numbers, registered
from .runner import Run
from .suite import settle
from .target import load

__all__ = ["Checks", "WebChecks"]


class Checks:
    """A plugin that adds an item per check of the store that `--notistore` names."""

    def __init__(self, config: pytest.Config) -> None:
        self.target: str = config.getoption("--notistore")
        self.options = {
            "profile": config.getoption("--notistore-profile"),
            "contract": config.getoption("--notistore-contract") or CONTRACT,
            "seed": config.getoption("--notistore-seed"),
        }
        try:
            as_numbers(self.options["contract"])
            self.make_store: Callable[[], Any] = load(self.target)
        except ValueError as error:
            raise pytest.UsageError(f"--notistore: {error}") from error

    @pytest.hookimpl(tryfirst=True)  # before -k and --deselect choose
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        store = _Store.from_parent(session, name=f"notistore[{self.target}]", checks=self)
        items += [_Item.from_parent(store, name=check.id, check=check) for check in registered().values()]


class _Store(pytest.Collector):
    def __init__(self, *, checks: Checks, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.checks = checks
        self._run: Run | None = None

    def collect(self) -> list[pytest.Item]:
        return []

    def run(self) -> Run:
        """The run of all these checks: begun by the first, ended after the last."""
        if self._run is None:
            self._run = run = Run(self.checks.make_store, **self.checks.options)
            run.__enter__()
            self.addfinalizer(self._end)
        return self._run

    def _end(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.__exit__(None, None, None)


class _Item(pytest.Item):
    def __init__(self, *, check: Check, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check

    def runtest(self) -> None:
        store = self.parent
        assert isinstance(store, _Store)
        run = store.run()
        settle(run.run(self.check), self, run.about(store.checks.target))

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.parent and self.parent.name}::{self.name}"


class WebChecks:
    """A plugin that adds an item per check of the server that `--notistore-web` names."""

    def __init__(self, config: pytest.Config) -> None:
        self.url: str = config.getoption("--notistore-web")
        headers = [header.partition(":") for header in config.getoption("--notistore-web-identity")]
        self.identities = [{name.strip(): value.strip()} for name, _, value in headers]
        if len(self.identities) != 2:
            raise pytest.UsageError('--notistore-web: expected --notistore-web-identity="name: value" twice')

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        from .web import WEB_CHECKS

        items += [_WebItem.from_parent(session, name=id, checks=self) for id in WEB_CHECKS]


class _WebItem(pytest.Item):
    def __init__(self, *, checks: WebChecks, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.checks = checks

    def runtest(self) -> None:
        from .web import about_web, run_web_check

        # In a thread, for an event loop may be running here already.
        with ThreadPoolExecutor(1) as thread:
            run = run_web_check(self.name, self.checks.url, self.checks.identities, "/notifications")
            result = thread.submit(asyncio.run, run).result()
        settle(result, self, about_web(self.checks.url))

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"notistore-web[{self.checks.url}]::{self.name}"
