"""PgBouncer in transaction mode: every adapter works through it, with the settings of docs, and through its restart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from notistore_conformance import check_store
from tools.clusters.pgbouncer import PgBouncer

from ..conftest import running
from .scenario import in_thread, run_scenario
from .stores import POOLED

CLUSTER = "PgBouncer"


@pytest.fixture
def pgbouncer(empty_postgres_url: str, request: pytest.FixtureRequest) -> Iterator[PgBouncer]:
    with running(lambda: PgBouncer(empty_postgres_url), request) as pgbouncer:
        yield pgbouncer


@pytest.mark.parametrize("store", POOLED)
async def test_the_kit_finds_nothing_wrong_in_transaction_mode(store: str, pgbouncer: PgBouncer) -> None:
    report = await check_store(lambda: POOLED[store](pgbouncer.url), name=f"{store}, through PgBouncer")
    assert not report.failed, str(report)


@pytest.mark.parametrize("store", POOLED)
async def test_a_restart_loses_nothing_that_was_acknowledged(store: str, pgbouncer: PgBouncer, redis_url: str) -> None:
    @in_thread
    def fail() -> None:
        pgbouncer.kill()
        pgbouncer.start()

    figures = await run_scenario(CLUSTER, "PgBouncer killed and started again", store, pgbouncer.url, redis_url, fail)
    assert not figures.lost
