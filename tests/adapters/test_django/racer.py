"""One of several processes that write the same rows concurrently: `python -m tests.adapters.test_django.racer JSON`."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from notistore import Notification, Recipient
from notistore.ids import keyed_id
from notistore.model import utc_now
from tests.django_project import databases, set_up

THREADS = 3
KEYS = [f"hot:{n}" for n in range(6)]
LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)


def upserts(user: Recipient, rounds: int) -> Counter[str]:
    """Only upserts. Each must return a different version and the row that it wrote."""
    from notistore_django.store import SyncDjangoStore

    done: Counter[str] = Counter()
    for _ in range(rounds):
        row = Notification.new(user, "hot", {"token": random.random()}, key=random.choice(KEYS))
        stored = SyncDjangoStore("raced").upsert(row)
        assert stored.data == row.data
        done[f"{row.key} v{stored.version}"] += 1
    return done


def mixture(user: Recipient, rounds: int) -> Counter[str]:
    """All kinds of calls, with contended keys, many rows in each call, in random order."""
    from notistore_django.store import SyncDjangoStore

    store, done = SyncDjangoStore("raced"), Counter[str]()

    def some_ids() -> list[str]:
        return [keyed_id(user, key) for key in random.sample(KEYS, 4)]

    def old_rows() -> int:
        store.insert_many([Notification.new(user, "old", at=LONG_AGO) for _ in range(3)])
        return 3

    calls: dict[str, Callable[[], Any]] = {
        "upserted": lambda: store.upsert(Notification.new(user, "hot", key=random.choice(KEYS))) and 1,
        "inserted": old_rows,
        "marked": lambda: store.mark_read(user, *some_ids(), at=utc_now()),
        "unmarked": lambda: store.mark_unread(user, *some_ids()),
        "all marked": lambda: store.mark_all_read(user, at=utc_now()),
        "deleted": lambda: store.delete(user, *some_ids()),
        "pruned": lambda: store.prune(older_than=LONG_AGO.replace(year=1991), limit=5),
    }
    for _ in range(rounds):
        name = random.choice([*calls])
        done[name] += calls[name]()
    return done


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    set_up()
    user, race = Recipient(task["user"]), {"upserts": upserts, "mixture": mixture}[task["race"]]
    total: Counter[str] = Counter()
    with databases(raced=task["entry"]), ThreadPoolExecutor(THREADS) as threads:
        for done in threads.map(race, [user] * THREADS, [task["rounds"]] * THREADS):
            total += done
    print(json.dumps(total))
