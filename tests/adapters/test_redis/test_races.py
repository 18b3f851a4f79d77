"""Several processes write the same few inboxes: no call fails, and their results add up."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import redis

from notistore import DuplicateNotification, Notification, Recipient, keyed_id, supports
from notistore.model import utc_now
from notistore_redis import SyncRedisStore
from tools.clusters.redis import Cluster, connect

from .audit import audit

PROCESSES = 4
CALLS = 400
INBOXES = [Recipient("1"), Recipient("1", tenant="acme"), Recipient("2", type="team")]
HOT = "progress"
LONG_AGO = datetime(1971, 1, 1, tzinfo=UTC)


def client_of(url: str, *, cluster: bool) -> Any:
    return connect(url, decode_responses=True) if cluster else redis.Redis.from_url(url, decode_responses=True)


def work(url: str, cluster: bool, prefix: str, seed: int) -> Counter[str]:
    """Make random calls. Counts rows created, rows deleted, and upserts of the contended key."""
    chance = random.Random(seed)
    did: Counter[str] = Counter()
    with client_of(url, cluster=cluster) as client:
        store = SyncRedisStore(client, prefix=prefix)
        for n in range(CALLS):
            inbox, type = chance.choice(INBOXES), chance.choice("abc")
            some = [row.id for row in store.page(inbox, limit=5) if row.key != HOT]
            match chance.randrange(9):
                case 0 | 1:
                    store.insert(Notification.new(inbox, type, at=chance.choice([None, LONG_AGO])))
                    did["born"] += 1
                case 2 | 3:
                    store.upsert(
                        Notification.new(inbox, type, {"by": [seed, n]}, key=HOT), renotify=chance.random() < 0.5
                    )
                    did[f"hot {INBOXES.index(inbox)}"] += 1
                case 4:
                    row = store.upsert(Notification.new(inbox, type, key=chance.choice("xy")))
                    did["born"] += row.version == 1
                case 5:
                    store.mark_all_read(inbox, types=chance.choice([None, ["a", "b"]]), at=utc_now())
                case 6:
                    store.mark_read(inbox, *some, at=utc_now())
                    store.mark_unread(inbox, *some[:2])
                case 7:
                    did["gone"] += store.delete(inbox, *some)
                case 8:
                    did["gone"] += store.prune(older_than=LONG_AGO + timedelta(days=1), only_read=True, limit=3)
    return did


@pytest.mark.parametrize("on_cluster", [False, True], ids=["server", "cluster"])
def test_processes_race_without_losing_a_row_or_a_count(
    on_cluster: bool, redis_prefix: str, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue("cluster").url if on_cluster else request.getfixturevalue("redis_url")
    prefix = f"{redis_prefix}races:"
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as processes:
        did = sum(processes.map(partial(work, url, on_cluster, prefix), range(PROCESSES)), Counter())
    with client_of(url, cluster=on_cluster) as client:
        store = SyncRedisStore(client, prefix=prefix)
        assert audit(client, prefix) == did["born"] - did["gone"] + len(INBOXES)
        for n, inbox in enumerate(INBOXES):
            hot = store.get(inbox, keyed_id(inbox, HOT))
            assert hot is not None
            assert hot.version == did[f"hot {n}"]
            store.erase(inbox)


def test_of_inserts_of_one_id_in_many_inboxes_one_succeeds(cluster: Cluster, redis_prefix: str) -> None:
    """Their slots are on different nodes, so no single script can check them all."""
    prefix = f"{redis_prefix}ids:"
    row = Notification.new(Recipient("0"), "a")
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as processes:
        won = sum(processes.map(partial(insert_everywhere, cluster.url, prefix, row), range(PROCESSES)))
    assert won == 1
    with client_of(cluster.url, cluster=True) as client:
        assert audit(client, prefix) == 1
        assert not supports(SyncRedisStore(client), "insert_many")


def insert_everywhere(url: str, prefix: str, row: Notification, seed: int) -> int:
    won = 0
    with client_of(url, cluster=True) as client:
        store = SyncRedisStore(client, prefix=prefix)
        for n in range(10):
            try:
                store.insert(replace(row, recipient=Recipient(f"{seed}-{n}")))
                won += 1
            except DuplicateNotification:
                pass
    return won
