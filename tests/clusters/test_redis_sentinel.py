"""Redis under Sentinel: the primary is killed, and the Sentinels agree on a replica."""

from __future__ import annotations

import pytest

from tools.clusters.redis import RedisUnderSentinel

from ..conftest import running
from .scenario import in_thread, run_scenario


async def test_a_primary_that_is_killed_leaves_no_badge_wrong(request: pytest.FixtureRequest) -> None:
    with running(RedisUnderSentinel, request) as cluster:
        url = f"redis+sentinel://{','.join(f'{host}:{port}' for host, port in cluster.addresses)}/{cluster.name}"

        @in_thread
        def fail() -> None:
            cluster.primary.kill()
            cluster.wait_for_promotion()

        figures = await run_scenario(
            "Redis Sentinel", "the primary killed, a replica promoted", "Redis", url, url, fail
        )
    # A primary replies before its replicas have the write: what was not replicated yet is lost.
    assert len(figures.lost) < figures.acknowledged / 10
