"""One scenario: an application with users, a failure, and the measured outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from .report import RESULTS, Result
from .stores import STORES
from .users import Figures, Users
from .web_processes import WebProcesses


async def run_scenario(
    cluster: str,
    happens: str,
    store: str,
    url: str,
    backplane: str,
    fail: Callable[[WebProcesses], Awaitable[object]],
    *,
    ports: Sequence[int] = (0, 0),
    front: str | None = None,
    pages: int = 40,
    may_see: tuple[str, ...] = ("503",),
) -> Figures:
    """Run users on two processes of an application, cause a failure, and verify once all users can write again.

    Args:
        cluster, happens: the table and the first column of the report.
        store: a name in STORES.
        url: the store's.
        backplane: the URL of its server.
        fail: causes the failure, and returns once it is over.
        ports: of the web processes.
        front: the address that users connect to, if it is not the processes' own.
        pages: how many are open.
        may_see: error statuses that users may get; 503 means that a write was not acknowledged.
    """
    async with WebProcesses(store, url, backplane, ports) as web:
        users = Users([front] if front else web.addresses, pages=pages)
        async with users.working():
            users.write_to_quiet_users()
            await fail(web)
            await users.wait_until_recovered()
            async with STORES[store](url) as opened:
                figures = await users.verify(opened)
        RESULTS.append(Result(cluster, happens, store.removesuffix(", pooled"), figures))
        unexpected = {what: figures.samples.get(what) for what in figures.errors if not what.startswith(may_see)}
        assert not unexpected, f"{unexpected}\n{web.log[-20_000:]}"
    assert not figures.wrong
    return figures


def in_thread(fail: Callable[[], object]) -> Callable[[WebProcesses], Awaitable[object]]:
    """For `run_scenario`: a failure that blocks until it is over."""
    return lambda web: asyncio.to_thread(fail)
