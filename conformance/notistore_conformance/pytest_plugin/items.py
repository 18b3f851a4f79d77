"""The checks as pytest items, for a run that has no test file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..registry import Check, Kind, checks_of
from ..running.runner import Runner
from ..running.runners import runner_of
from ..running.targets import load, load_factory
from .suites import end, settle

__all__ = ["Checks", "asked_for"]


def asked_for(config: pytest.Config) -> Iterator[Checks]:
    """The plugins that the command line asks for, one for each thing to check."""
    loading: tuple[tuple[str, Kind, Callable[[str], Callable[[], Any]]], ...] = (
        ("--notistore", "store", load),
        ("--notistore-backplane", "backplane", load_factory),
        ("--notistore-web", "web", lambda url: _mount(config, url)),
    )
    for option, kind, load_target in loading:
        if target := config.getoption(option):
            try:
                yield Checks(config, kind, target, load_target(target))
            except ValueError as error:
                raise pytest.UsageError(f"{option}: {error}") from error


def _mount(config: pytest.Config, url: str) -> Callable[[], Any]:
    from ..web import mount_of

    if getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        raise ValueError("its checks share two inboxes, so they cannot be run by several processes; leave out -n")
    options = config.getoption
    mount = mount_of(
        url, options("--notistore-web-identity"), options("--notistore-web-send"), options("--notistore-web-path")
    )
    return lambda: mount


class Checks:
    """A plugin that adds an item per check of what the command line names."""

    def __init__(self, config: pytest.Config, kind: Kind, target: str, make: Callable[[], Any]) -> None:
        self.kind = kind
        self.target = target
        self.make = make
        self.options = {
            "profile": config.getoption("--notistore-profile"),
            "seed": config.getoption("--notistore-seed"),
            "seconds": config.getoption("--notistore-seconds"),
        }

    @pytest.hookimpl(tryfirst=True)  # before -k and --deselect choose
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        parent = _Target.from_parent(session, name=f"notistore[{self.target}]", checks=self)
        items += [_Item.from_parent(parent, name=check.id, check=check) for check in checks_of(self.kind).values()]


class _Target(pytest.Collector):
    def __init__(self, *, checks: Checks, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.checks = checks
        self._runner: Runner[Any] | None = None

    def collect(self) -> list[pytest.Item]:
        return []

    def runner(self) -> Runner[Any]:
        """The runner of these checks: started by the first, closed after the last."""
        if self._runner is None:
            self._runner = runner = runner_of(self.checks.kind, self.checks.make, **self.checks.options)
            runner.__enter__()
            self.addfinalizer(self._end)
        return self._runner

    def _end(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            end(runner)


class _Item(pytest.Item):
    def __init__(self, *, check: Check, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check

    def runtest(self) -> None:
        target = self.parent
        assert isinstance(target, _Target)
        runner = target.runner()
        settle(runner.result(self.check, target.checks.target), self, runner.about(target.checks.target))

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.parent and self.parent.name}::{self.name}"
