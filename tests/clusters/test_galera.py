"""MariaDB Galera: three nodes that all take writes, one of which leaves and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from notistore_conformance import check_store
from tools.clusters.galera import GaleraCluster
from tools.clusters.haproxy import HAProxy

from ..conftest import running
from .scenario import in_thread, run_scenario
from .stores import MARIADB

CLUSTER = "MariaDB Galera"


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[GaleraCluster]:
    with running(GaleraCluster, request) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def balanced(cluster: GaleraCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """The cluster's URL, where each new connection leads to the next node."""
    with running(lambda: HAProxy([node.port for node in cluster.nodes], mode="tcp"), request) as haproxy:
        yield f"mysql://root@127.0.0.1:{haproxy.port}"


@pytest.mark.parametrize("store", MARIADB)
async def test_the_kit_finds_nothing_wrong_with_writers_on_all_nodes(
    store: str, cluster: GaleraCluster, balanced: str
) -> None:
    with cluster.database() as name:
        report = await check_store(lambda: MARIADB[store](f"{balanced}/{name}"), name=f"{store}, on Galera")
    assert not report.failed, str(report)


@pytest.mark.parametrize("store", MARIADB)
async def test_a_node_that_is_killed_loses_nothing_that_was_acknowledged(
    store: str, cluster: GaleraCluster, balanced: str, redis_url: str
) -> None:
    @in_thread
    def fail() -> None:
        cluster.nodes[1].kill()
        cluster.wait_for_size(2)
        cluster.nodes[1].start()

    with cluster.database() as name:
        url = f"{balanced}/{name}"
        figures = await run_scenario(CLUSTER, "a node killed and started again", store, url, redis_url, fail)
    assert not figures.lost


async def test_a_node_that_is_shut_down_loses_nothing_that_was_acknowledged(
    cluster: GaleraCluster, balanced: str, redis_url: str
) -> None:
    @in_thread
    def fail() -> None:
        cluster.nodes[2].stop()
        cluster.nodes[2].start()

    with cluster.database() as name:
        url = f"{balanced}/{name}"
        figures = await run_scenario(CLUSTER, "a node restarted", "SQLAlchemy, asyncmy", url, redis_url, fail)
    assert not figures.lost
