"""The pytest class to inherit from, with one test per check."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from inspect import signature
from typing import Any, ClassVar, Final

import pytest

from ..api import check_expected
from ..registry import Check, Kind, checks_of
from ..reports.causes import cause_of, shortened
from ..reports.report import About, Outcome, Result
from ..running.runner import Runner
from ..running.runners import runner_of

__all__ = ["BackplaneSuite", "NotificationStoreSuite", "WebSuite", "end", "settle"]


class _Suite:
    kind: ClassVar[Kind]
    factory: ClassVar[str]
    expected_failures: ClassVar[Mapping[str, str]] = {}
    profile: ClassVar[str] = "quick"
    seed: ClassVar[int] = 0
    seconds: ClassVar[float | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.expected_failures:
            check_expected(cls.expected_failures, cls.kind)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", checks_of(self.kind).values(), ids=lambda check: check.id)

    def test_conforms(self, check: Check, request: pytest.FixtureRequest) -> None:
        runner = _runner_of(self, request)
        result = runner.result(check, self.factory)
        if not runner.failure:
            result = result.judged(self.expected_failures)
        settle(result, request.node, runner.about(f"{type(self).__module__}:{type(self).__qualname__}"))


class NotificationStoreSuite(_Suite):
    """Inherit, say how to make the store, and each check is a test::

        class TestMyStore(NotificationStoreSuite):
            @asynccontextmanager
            async def make_store(self):
                async with connect(...) as db:
                    yield MyStore(db)

    What a fixture gives is put on `self` by a fixture of the class, before `make_store` is called::

            @pytest.fixture(autouse=True)
            def _url(self, postgres_url):
                self.url = postgres_url

    `make_store` is entered once for the class, on an event loop of the kit's own. It may be any of what `check_store`
    takes, and may yield a `StoreImplementation` to have more checked.

    Attributes:
        expected_failures: check id to reason. Strict: a check that ends in another way, and an unknown id, are errors.
        profile: "quick" or "full".
        seed: what the random histories are drawn from.
        seconds: how long the random histories may go on; by default 15, and 120 in the full profile.
    """

    kind = "store"
    factory = "make_store"


class BackplaneSuite(_Suite):
    """The same for a backplane::

        class TestMyBackplane(BackplaneSuite):
            def make_backplane(self):
                return MyBackplane(self.url, prefix="conformance")

    `make_backplane` is called for every node that a check works with, on an event loop of the kit's own. It may be any
    of what `check_backplane` takes, and may yield a `BackplaneImplementation` to have outages checked too. Its
    attributes are those of `NotificationStoreSuite`.
    """

    kind = "backplane"
    factory = "make_backplane"


class WebSuite(_Suite):
    """The same for routes on a server::

        class TestMyServer(WebSuite):
            def make_mount(self):
                return Mount(self.url, [{"x-user": "ada"}, {"x-user": "bob"}], send="/test/send")

    `make_mount` is called and entered once, on an event loop of the kit's own; it may be a context manager or a
    generator that starts the server and yields the `Mount`. Its checks share two inboxes: under pytest-xdist, one that
    does not start a server of its own needs `--dist loadscope`. Its attributes are those of `NotificationStoreSuite`.
    """

    kind = "web"
    factory = "make_mount"


PROPERTY: Final = "notistore"
"""The test property that carries a result to the plugin, across processes too."""

_RUNNER = pytest.StashKey[Runner[Any]]()
_CAUSES = pytest.StashKey[dict[tuple[str, str], str]]()
"""What was tested and the cause of a failure, to the check whose test has printed it in full."""


def _runner_of(suite: _Suite, request: pytest.FixtureRequest) -> Runner[Any]:
    """The class's runner: started by its first check, closed with the class."""
    node: pytest.Class | None = request.node.getparent(pytest.Class)
    assert node is not None
    if (runner := node.stash.get(_RUNNER, None)) is None:
        make: Callable[[], Any] | None = getattr(suite, suite.factory, None)
        if make is None:
            pytest.fail(f"{type(suite).__name__} has no {suite.factory}(), which returns what is tested", pytrace=False)
        if needed := [name for name, one in signature(make).parameters.items() if one.default is one.empty]:
            pytest.fail(
                f"{suite.factory}() takes no arguments, and this one needs {', '.join(needed)}. An autouse fixture of "
                f"the class puts what other fixtures give on self, where {suite.factory} reads it.",
                pytrace=False,
            )
        options = {name: getattr(suite, name) for name in ("profile", "seed", "seconds")}
        runner = runner_of(suite.kind, make, **options)
        runner.__enter__()
        node.stash[_RUNNER] = runner
        node.addfinalizer(partial(_end, node, runner))
    return runner


def _end(node: pytest.Class, runner: Runner[Any]) -> None:
    del node.stash[_RUNNER]
    end(runner)


def end(runner: Runner[Any]) -> None:
    """End a run. What it has left in the store is a warning, which pytest prints at its end."""
    runner.__exit__(None, None, None)
    if runner.left:
        warnings.warn(runner.left, stacklevel=2)


def settle(result: Result, item: pytest.Item, about: About) -> None:
    """End a test as the check ended, and leave the result where the plugin finds it for the report."""
    item.user_properties.append((PROPERTY, {"about": asdict(about), "result": result.to_dict()}))
    match result.outcome:
        case Outcome.FAILED | Outcome.MISSING:
            first = item.config.stash.setdefault(_CAUSES, {}).setdefault((about.store, cause_of(result)), result.id)
            pytest.fail(result.message if first == result.id else shortened(result, first), pytrace=False)
        case Outcome.EXPECTED:
            pytest.xfail(result.message.splitlines()[0])
        # The check was not run, for a reason that its message gives: the part is optional and not offered, the user has
        # waived it, or it needs something that is not installed. The verdict counts each kind, and the last is PARTIAL.
        case Outcome.UNSUPPORTED:
            pytest.skip(result.message)
        case Outcome.NOT_RUN | Outcome.WAIVED:
            pytest.skip(f"{result.outcome}: {result.message}")
