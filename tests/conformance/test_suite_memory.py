"""MemoryStore through the pytest class, and under the full profile."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from notistore import MemoryStore
from notistore_conformance import NotificationStoreSuite, Outcome, StoreImplementation, check_store
from notistore_conformance.registry import checks_of
from notistore_conformance.running.profiles import PROFILES
from notistore_conformance.store.context import StoreContext
from notistore_conformance.store.neighbours import CROWDED, look_alikes
from notistore_conformance.store.stateful import stateful


class TestMemoryStore(NotificationStoreSuite):
    @asynccontextmanager
    async def make_store(self):
        yield MemoryStore()


async def test_nothing_fails_under_the_full_profile_however_few_the_seconds():
    report = await check_store(lambda: MemoryStore(), profile="full", seconds=1)
    failed = [result for result in report.results if result.outcome is Outcome.FAILED]
    assert not failed, str(report)


@pytest.mark.parametrize("seed", range(5))
async def test_histories_that_time_cuts_short_are_no_failure(seed):
    class Slow(MemoryStore):
        async def get(self, recipient, id):
            await asyncio.sleep(0.02)
            return await super().get(recipient, id)

    [result] = (await check_store(Slow, profile="full", only="model/", seconds=0.5, seed=seed)).results
    assert result.outcome in (Outcome.PASSED, Outcome.NOT_RUN), result.message


async def test_histories_of_which_none_could_be_played_are_not_run():
    [result] = (await check_store(MemoryStore, only="model/", seconds=0)).results
    assert result.outcome is Outcome.NOT_RUN
    assert "allow more seconds" in result.message


async def test_an_error_in_a_history_is_reported_though_there_is_no_time_to_shrink_it(monkeypatch):
    class Raises(MemoryStore):
        async def delete(self, recipient, *ids):
            raise ZeroDivisionError

    monkeypatch.setattr(stateful, "_SHRINKING", 0)
    [result] = (await check_store(Raises, only="model/", seconds=60)).results
    assert result.outcome is Outcome.FAILED
    assert "ZeroDivisionError" in result.message


def test_no_recipient_is_called_as_the_look_alike_of_another():
    check = next(iter(checks_of("store").values()))
    context = StoreContext(
        check, StoreImplementation(MemoryStore()), PROFILES["full"], recipient_id=CROWDED.recipient_id, tenant="T"
    )
    names = [context.recipient().id for _ in range(120)] + [context.unique("one") for _ in range(120)]
    assert not set(names) & {other for name in names for other in look_alikes(name)}
