"""Redis Cluster: a primary is killed and its replica is promoted; slots are moved while they are in use."""

from __future__ import annotations

import pytest

from tools.clusters.redis import SLOTS, Cluster

from ..conftest import running
from .scenario import in_thread, run_scenario

CLUSTER = "Redis Cluster"


async def test_a_primary_that_is_killed_leaves_no_badge_wrong(request: pytest.FixtureRequest) -> None:
    with running(lambda: Cluster(replicas=1), request) as cluster:
        url = f"redis+cluster://127.0.0.1:{cluster.primaries[1].port}"

        @in_thread
        def fail() -> None:
            cluster.primaries[0].kill()
            cluster.wait_for_promotion(cluster.replicas[0])

        figures = await run_scenario(CLUSTER, "a primary killed, its replica promoted", "Redis", url, url, fail)
    # A primary replies before its replica has the write: what was not replicated yet is lost.
    assert len(figures.lost) < figures.acknowledged / 10


async def test_moving_slots_loses_nothing_and_causes_no_error(request: pytest.FixtureRequest) -> None:
    with running(Cluster, request) as cluster:
        url = f"redis+cluster://127.0.0.1:{cluster.primaries[1].port}"
        first, target, _ = cluster.primaries
        figures = await run_scenario(
            CLUSTER,
            "a sixth of the slots moved",
            "Redis",
            url,
            url,
            in_thread(lambda: cluster.move_slots(first, target, range(SLOTS // 6))),
        )
    assert not figures.lost
