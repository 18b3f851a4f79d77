"""HAProxy in front of two web processes, restarted one after the other under a thousand streams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tools.clusters.haproxy import HAProxy
from tools.servers import free_port

from ..conftest import running
from .scenario import run_scenario
from .web_processes import WebProcesses

CLUSTER = "HAProxy"
STREAMS = 1000


@pytest.fixture
def ports() -> list[int]:
    return [free_port(), free_port()]


@pytest.fixture
def haproxy(ports: list[int], request: pytest.FixtureRequest) -> Iterator[HAProxy]:
    with running(lambda: HAProxy(ports), request) as haproxy:
        yield haproxy


async def test_a_rolling_restart_of_drained_processes_leaves_no_badge_wrong_and_fails_no_request(
    haproxy: HAProxy, ports: list[int], empty_postgres_url: str, redis_url: str
) -> None:
    async def restart_in_turn(web: WebProcesses) -> None:
        for n in range(2):
            await asyncio.to_thread(haproxy.drain, n)
            await web.wait_until_accepting(n)  # so the connections from before are handled
            await web.restart(n)
            await asyncio.to_thread(haproxy.ready, n)

    happens = f"two processes under {STREAMS:,} streams restarted in turn, each drained first"
    services = ("SQLAlchemy, asyncpg", empty_postgres_url, redis_url)
    figures = await run_scenario(
        CLUSTER, happens, *services, restart_in_turn, ports=ports, front=haproxy.url, pages=STREAMS
    )
    assert not figures.lost
    assert not figures.errors


async def test_a_rolling_restart_without_draining_loses_nothing(
    haproxy: HAProxy, ports: list[int], empty_postgres_url: str, redis_url: str
) -> None:
    """A request that reaches a server while it stops gets an error from the proxy; it may have taken effect."""

    async def restart_in_turn(web: WebProcesses) -> None:
        for n in range(2):
            await web.restart(n)

    happens = f"two processes under {STREAMS:,} streams restarted in turn"
    services = ("SQLAlchemy, asyncpg", empty_postgres_url, redis_url)
    figures = await run_scenario(
        CLUSTER,
        happens,
        *services,
        restart_in_turn,
        ports=ports,
        front=haproxy.url,
        pages=STREAMS,
        may_see=("502", "503"),
    )
    assert not figures.lost
