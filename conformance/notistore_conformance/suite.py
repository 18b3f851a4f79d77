"""The pytest door: a class to inherit from, one test per check."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar, Final

import pytest

from .registry import CONTRACT, Check, registered
from .report import About, Outcome, Result
from .run import check_expected
from .runner import Run

__all__ = ["NotificationStoreSuite", "settle"]


class NotificationStoreSuite:
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
    """

    expected_failures: ClassVar[Mapping[str, str]] = {}
    profile: ClassVar[str] = "quick"
    contract: ClassVar[str] = CONTRACT
    seed: ClassVar[int] = 0

    def make_store(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a make_store() that yields the store to test")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_expected(cls.expected_failures)

    @pytest.mark.parametrize("check", registered().values(), ids=lambda check: check.id)
    def test_conforms(self, check: Check, request: pytest.FixtureRequest) -> None:
        run = _run_of(self, request)
        result = run.run(check).judged(self.expected_failures)
        settle(result, request.node, run.about(f"{type(self).__module__}:{type(self).__qualname__}"))


PROPERTY: Final = "notistore"
"""The test property that carries a result to the plugin, across processes too."""

_RUN = pytest.StashKey[Run]()


def _run_of(suite: NotificationStoreSuite, request: pytest.FixtureRequest) -> Run:
    """The class's run: begun by its first check, ended with the class."""
    node: pytest.Class | None = request.node.getparent(pytest.Class)
    assert node is not None
    if (run := node.stash.get(_RUN, None)) is None:
        run = Run(suite.make_store, profile=suite.profile, contract=suite.contract, seed=suite.seed)
        run.__enter__()
        node.stash[_RUN] = run
        node.addfinalizer(partial(_end, node, run))
        if error := run.failure:
            where = "".join(traceback.format_tb(error.__traceback__)[-1:])
            what = "".join(traceback.format_exception_only(error))
            pytest.fail(f"make_store could not be entered, so no check can be run:\n{where}{what}", pytrace=False)
    elif run.failure:
        pytest.skip("make_store could not be entered; the first check of this class says why")
    return run


def _end(node: pytest.Class, run: Run) -> None:
    del node.stash[_RUN]
    run.__exit__(None, None, None)


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
