"""The pytest door: a class to inherit from, one test per check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar, Final

import pytest

from .kinds import checks_of, stage_of
from .registry import CONTRACT, Check
from .report import About, Kind, Outcome, Result
from .run import check_expected
from .stage import Stage

__all__ = ["BackplaneSuite", "NotificationStoreSuite", "WebSuite", "settle"]


class _Suite:
    kind: ClassVar[Kind]
    factory: ClassVar[str]
    expected_failures: ClassVar[Mapping[str, str]] = {}
    profile: ClassVar[str] = "quick"
    contract: ClassVar[str] = CONTRACT
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
        stage = _stage_of(self, request)
        result = stage.result(check, self.factory)
        if not stage.failure:
            result = result.judged(self.expected_failures)
        settle(result, request.node, stage.about(f"{type(self).__module__}:{type(self).__qualname__}"))


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
    takes, and may yield a `Subject` to have more checked.

    Attributes:
        expected_failures: check id to reason. Strict: a check that ends in another way, and an unknown id, are errors.
        profile: "quick" or "full".
        contract: the version of the contract to hold the store against; checks that came later are skipped.
        seed: what the random histories are drawn from.
        seconds: how long the random histories may go on; by default 15, and 120 in the full profile.
    """

    kind = "store"
    factory = "make_store"

    def make_store(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a make_store() that yields the store to test")


class BackplaneSuite(_Suite):
    """The same for a backplane::

        class TestMyBackplane(BackplaneSuite):
            def make_backplane(self):
                return MyBackplane(self.url, prefix="conformance")

    `make_backplane` is called for every node that a check works with, on an event loop of the kit's own. It may be any
    of what `check_backplane` takes, and may yield a `BackplaneSubject` to have outages checked too. Its attributes are
    those of `NotificationStoreSuite`.
    """

    kind = "backplane"
    factory = "make_backplane"

    def make_backplane(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a make_backplane() that yields the backplane to test")


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

    def make_mount(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a make_mount() that yields the Mount to test")


PROPERTY: Final = "notistore"
"""The test property that carries a result to the plugin, across processes too."""

_STAGE = pytest.StashKey[Stage[Any]]()


def _stage_of(suite: _Suite, request: pytest.FixtureRequest) -> Stage[Any]:
    """The class's stage: begun by its first check, ended with the class."""
    node: pytest.Class | None = request.node.getparent(pytest.Class)
    assert node is not None
    if (stage := node.stash.get(_STAGE, None)) is None:
        make: Callable[[], Any] = getattr(suite, suite.factory)
        options = {name: getattr(suite, name) for name in ("profile", "contract", "seed", "seconds")}
        stage = stage_of(suite.kind, make, **options)
        stage.__enter__()
        node.stash[_STAGE] = stage
        node.addfinalizer(partial(_end, node, stage))
    return stage


def _end(node: pytest.Class, stage: Stage[Any]) -> None:
    del node.stash[_STAGE]
    stage.__exit__(None, None, None)


def settle(result: Result, item: pytest.Item, about: About) -> None:
    """End a test as the check ended, and leave the result where the plugin finds it for the report."""
    item.user_properties.append((PROPERTY, {"about": asdict(about), "result": result.to_dict()}))
    match result.outcome:
        case Outcome.FAILED:
            pytest.fail(result.message, pytrace=False)
        case Outcome.EXPECTED:
            pytest.xfail(result.message.splitlines()[0])
        case Outcome.UNSUPPORTED | Outcome.MISSING | Outcome.NOT_RUN:
            pytest.skip(result.message if result.outcome is not Outcome.NOT_RUN else f"not run: {result.message}")
