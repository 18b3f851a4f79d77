"""PostgreSQL with a streaming standby that is promoted under load."""

from __future__ import annotations

import pytest

from tools.clusters.postgres import ReplicatedPostgres

from ..conftest import running
from .scenario import in_thread, run_scenario
from .stores import POSTGRES

CLUSTER = "PostgreSQL"


@pytest.mark.parametrize("store", POSTGRES)
async def test_no_acknowledged_write_is_lost_to_a_synchronous_standby(
    store: str, request: pytest.FixtureRequest
) -> None:
    with running(lambda: ReplicatedPostgres(synchronous=True), request) as cluster:
        happens = "primary killed, synchronous standby promoted"
        figures = await run_scenario(CLUSTER, happens, store, cluster.url, cluster.url, in_thread(cluster.fail_over))
    assert not figures.lost


async def test_an_asynchronous_standby_lacks_only_what_was_written_just_before_the_failure(
    request: pytest.FixtureRequest,
) -> None:
    with running(lambda: ReplicatedPostgres(synchronous=False), request) as cluster:
        happens = "primary killed, asynchronous standby promoted"
        figures = await run_scenario(
            CLUSTER, happens, "SQLAlchemy, asyncpg", cluster.url, cluster.url, in_thread(cluster.fail_over)
        )
    # What the standby had not received yet is lost, as asynchronous replication allows.
    assert len(figures.lost) < figures.acknowledged / 10
