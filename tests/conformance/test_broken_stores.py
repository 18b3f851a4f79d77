"""Tests of the kit: each broken store is caught by the check named for it, and correct stores conform."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from notistore import MemoryStore, Unsupported
from notistore_conformance import Outcome, StoreImplementation, check_store, registry
from notistore_conformance.registry import checks_of
from notistore_conformance.store.neighbours import ALONE
from notistore_conformance.store.runner import StoreRunner

from .broken_stores import CAUGHT, ONLY, FileStore, Remote, RollsBack, Sqlite3Store, TransactionalStore
from .matrix import NAMED, failing


@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_is_caught_by_the_check_named_for_it(name):
    id, make_store = CAUGHT[name]
    check = checks_of("store")[id]
    with StoreRunner(make_store, surroundings=(ALONE,), processes=False) as run:
        result = run.run(check)
    assert result.outcome is Outcome.FAILED, result
    assert "promised:" in result.message
    assert any(f"[{clause}]" in result.message for clause in check.clauses)


@pytest.mark.parametrize("name", sorted(ONLY))
def test_is_caught_by_no_other_check(name):
    assert list(failing(name)) == [CAUGHT[name][0]]


def test_every_check_has_a_broken_store_that_only_it_catches():
    assert {CAUGHT[name][0] for name in ONLY} == NAMED.keys()


@pytest.mark.parametrize("id", sorted({check for check, _ in CAUGHT.values()} | {"model/history"}))
def test_the_same_check_passes_on_a_whole_store(id):
    with StoreRunner(TransactionalStore.subject, surroundings=(ALONE,), processes=False) as run:
        result = run.run(checks_of("store")[id])
    assert result.outcome in (Outcome.PASSED, Outcome.UNSUPPORTED, Outcome.WAIVED), result.message


@pytest.mark.parametrize("whole", [Remote, RollsBack])
def test_a_store_that_reports_the_outcome_of_a_lost_reply_passes(whole):
    with StoreRunner(whole.subject, processes=False) as run:
        assert run.run(checks_of("store")["calls/lost-reply"]).outcome is Outcome.PASSED


def test_a_reply_that_was_not_lost_is_seen_by_what_should_have_lost_it():
    class Careless(Remote):
        async def write(self, name, *args, **kwargs):
            return await getattr(MemoryStore, name)(self, *args, **kwargs)

    with StoreRunner(Careless.subject, processes=False) as run:
        result = run.run(checks_of("store")["calls/lost-reply"])
    assert result.outcome is Outcome.FAILED
    assert "no reply was lost" in result.message


async def test_a_store_whose_cost_is_constant_passes_the_cost_check():
    @asynccontextmanager
    async def make_store():
        store = Sqlite3Store(":memory:")
        yield StoreImplementation(store, scales=True, backend=f"SQLite {sqlite3.sqlite_version}")
        await store.close()

    report = await check_store(make_store, only="cost/")
    assert [result.outcome for result in report.results] == [Outcome.PASSED], str(report)
    assert report.about.backend.startswith("SQLite 3.")


class WholeFileStore(FileStore):
    pass


async def test_processes_that_race_on_a_whole_store_break_nothing():
    report = await check_store(WholeFileStore.subject, only="processes/")
    assert [result.outcome for result in report.results] == [Outcome.PASSED], str(report)


async def test_a_failing_history_is_reported_as_a_test():
    report = await check_store(IgnoresMarksFromVersionThree, only="model/", seed=7)
    [result] = report.failed
    written, source = result.message.split("as a test (seed 7):\n")
    ready = {}
    exec(source, ready)
    await ready["test_history"](MemoryStore())
    with pytest.raises(AssertionError):
        await ready["test_history"](IgnoresMarksFromVersionThree())
    assert "[mark-read.marks]" in written


class IgnoresMarksFromVersionThree(MemoryStore):
    async def mark_read(self, recipient, *ids, at):
        rows = [row for row in self._named(recipient, ids) if row.read_at is None and row.version < 3]
        return self._mark(rows, at)


async def test_memory_store_conforms():
    report = await check_store(MemoryStore)
    assert report.conforms, str(report)


async def test_a_store_that_only_neighbours_can_break_is_caught_by_the_rerun():
    class MarksLookAlikes(MemoryStore):
        async def mark_unread(self, recipient, *ids):
            for row in [row for row in self._rows.values() if row.recipient.id == recipient.id + " "]:
                del self._rows[row.id]
            return await super().mark_unread(recipient, *ids)

    report = await check_store(MarksLookAlikes, only="mark-unread/keeps-content")
    [result] = report.results
    assert result.outcome is Outcome.FAILED
    assert "[recipient.isolation]" in result.message
    assert "beside neighbours" in result.message


async def test_random_histories_alone_catch_a_rare_condition():
    class RenotifiesWhenTheTypeChanges(MemoryStore):
        async def upsert(self, notification, *, renotify=True):
            old = self._rows.get(notification.id)
            return await super().upsert(notification, renotify=renotify or bool(old and old.type != notification.type))

    report = await check_store(RenotifiesWhenTheTypeChanges, only="model/")
    [result] = report.failed
    assert result.id == "model/history"
    assert "[upsert.renotify]" in result.message


async def test_a_store_without_upsert_does_not_conform_and_the_verdict_names_the_gap():
    class CannotUpsert(MemoryStore):
        async def upsert(self, notification, *, renotify=True):
            raise Unsupported("this database has no upsert")

    report = await check_store(CannotUpsert)
    assert not report.conforms
    assert not report.failed, str(report)
    assert "this database has no upsert" in report.verdict


async def test_a_call_that_never_ends_is_a_failure(monkeypatch):
    id = "get/returns"
    monkeypatch.setitem(registry._CHECKS["store"], id, replace(checks_of("store")[id], seconds=0.05))

    class NeverAnswers(MemoryStore):
        async def get(self, recipient, id):
            await asyncio.Event().wait()

    report = await check_store(NeverAnswers, only=id)
    assert report.failed
    assert "was not answered" in report.failed[0].message or "CancelledError" in report.failed[0].message


async def test_after_three_checks_that_did_not_end_the_rest_is_not_run(monkeypatch):
    for id in ("get/returns", "get/unknown", "insert/stores", "insert/duplicate"):
        check = checks_of("store")[id]
        monkeypatch.setitem(registry._CHECKS["store"], id, replace(check, seconds=0.05))

    class NeverAnswers(MemoryStore):
        async def get(self, recipient, id):
            await asyncio.Event().wait()

    with StoreRunner(NeverAnswers, processes=False) as run:
        checks = checks_of("store")
        outcomes = [run.run(checks[id]).outcome for id in ("get/returns", "get/unknown", "insert/stores")]
        assert outcomes == [Outcome.FAILED] * 3
        assert run.run(checks["insert/duplicate"]).outcome is Outcome.NOT_RUN
