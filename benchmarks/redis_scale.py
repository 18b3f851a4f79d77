"""How RedisStore behaves with many rows: memory per notification, and how long one call holds the server up.

    python benchmarks/redis_scale.py [ROWS]

starts a Redis of its own (100,000 rows in one inbox by default) and prints the tables of docs/adapters/redis.md.
"Blocks" is the time the server itself spent on the call's longest script or command, during which it serves nobody
else; "call" is what the caller waited. Each is the best of five runs where the call can be repeated: of each script by
itself, so that what else the machine does is not counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).parents[1]))

from notistore import Notification, Recipient
from notistore.model import utc_now
from notistore_redis import SyncRedisStore
from tools.servers import RedisServer

ME = Recipient("6f1d2c1e-58a5-4c0e-9d2e-0b1c7a3e4f55")
TYPES = ["invoice.paid", "export.progress", "comment.added"]
DATA = {"title": "Invoice 2026-117 was paid", "invoice_id": 7117, "amount": "1250.00", "url": "/invoices/7117"}


def rows(recipient: Recipient, n: int) -> list[Notification]:
    return [Notification.new(recipient, TYPES[i % 3], DATA) for i in range(n)]


def fill(store: SyncRedisStore, recipients: Iterable[Recipient], n: int) -> None:
    assert store.insert_many is not None
    for recipient in recipients:
        made = rows(recipient, n)
        for start in range(0, n, 5_000):
            store.insert_many(made[start : start + 5_000])


def memory(client: redis.Redis, store: SyncRedisStore) -> None:
    print("\n| one notification in | unread | read |\n|---|---|---|")
    for inboxes, n in ((10_000, 10), (1_000, 100), (100, 1_000), (1, 100_000)):
        client.flushall()
        empty = client.info("memory")["used_memory"]
        recipients = [Recipient(f"6f1d2c1e-58a5-4c0e-9d2e-{i:012}") for i in range(inboxes)]
        fill(store, recipients, n)
        drop_receipts(client)
        unread = client.info("memory")["used_memory"] - empty
        for recipient in recipients:
            store.mark_all_read(recipient, at=utc_now())
        drop_receipts(client)
        read = client.info("memory")["used_memory"] - empty
        per = [f"{taken / (inboxes * n):.0f} bytes" for taken in (unread, read)]
        print(f"| {inboxes:,} inbox{'es' if inboxes > 1 else ''} of {n:,} | {' | '.join(per)} |")


def drop_receipts(client: redis.Redis) -> None:
    """What a call leaves for two minutes is no part of what a notification takes."""
    for key in list(client.scan_iter(match="*:call:*", count=10_000)):
        client.delete(key)


class Stopwatch:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        client.config_set("slowlog-log-slower-than", 0)
        client.config_set("slowlog-max-len", 1_000_000)

    def row(self, what: str, call: Callable[[], object], *, again: Callable[[], object] | None = None) -> None:
        """Print one line of the table; with `again`, which undoes the call, it is measured five times."""
        waited, logs = [], []
        for _ in range(5 if again else 1):
            self._client.slowlog_reset()
            started = time.perf_counter()
            call()
            waited.append(time.perf_counter() - started)
            log = self._client.slowlog_get(1_000_000)
            # Emptying the log is in it too, and takes long after a call that was many commands.
            logs.append([each["duration"] for each in log if not each["command"].startswith(b"SLOWLOG")])
            if again:
                again()
        alike = len(set(map(len, logs))) == 1
        blocked = max(map(min, zip(*logs, strict=True))) if alike else min(map(max, logs))
        print(f"| {what} | {blocked / 1000:.3g} ms | {min(waited) * 1000:.3g} ms |", flush=True)


def nothing() -> None: ...


def calls(client: redis.Redis, store: SyncRedisStore, n: int) -> None:
    watch = Stopwatch(client)
    print("\n| call | blocks | call |\n|---|---|---|")
    for size in (100, 1_000, 10_000, n):
        client.flushall()
        made = rows(ME, size)
        assert store.insert_many is not None
        for start in range(0, size, 5_000):
            store.insert_many(made[start : start + 5_000])

        def unread(made: list[Notification] = made) -> None:
            for start in range(0, len(made), 5_000):
                store.mark_unread(ME, *(row.id for row in made[start : start + 5_000]))

        watch.row(f"mark_all_read, {size:,} unread", lambda: store.mark_all_read(ME, at=utc_now()), again=unread)
    seen = utc_now()
    watch.row(f"mark_all_read with seen=, {n:,}", lambda: store.mark_all_read(ME, seen=seen, at=seen), again=unread)
    early = made[0].updated_at - timedelta(days=1)
    watch.row(
        f"mark_all_read with seen= before all {n:,}",
        lambda: store.mark_all_read(ME, seen=early, at=seen),
        again=nothing,
    )
    watch.row(
        f"mark_all_read of one type in three, {n:,}",
        lambda: store.mark_all_read(ME, types=TYPES[:1], at=seen),
        again=unread,
    )

    def lose_a_key() -> None:
        client.unlink(*client.keys("*:unread"))
        store.page(ME)

    watch.row(f"page, 50 of an inbox of {n:,} that lost a key", lose_a_key, again=unread)
    watch.row(f"unread_count of {n:,}", lambda: store.unread_count(ME), again=nothing)
    watch.row(f"unread_count of {n:,}, one type", lambda: store.unread_count(ME, types=TYPES[:1]), again=nothing)
    watch.row("page, first 50", lambda: store.page(ME), again=nothing)
    ids = [row.id for row in made[:10_000]]
    read, unread_again = (lambda: store.mark_read(ME, *ids, at=seen)), (lambda: store.mark_unread(ME, *ids))
    watch.row(f"mark_read of {len(ids):,} ids", read, again=unread_again)
    read()
    watch.row(f"mark_unread of {len(ids):,} ids", unread_again, again=read)

    def insert_again() -> None:
        assert store.insert_many is not None
        for start in range(0, len(ids), 5_000):
            store.insert_many(made[start : start + 5_000])

    watch.row(f"delete of {len(ids):,} ids", lambda: store.delete(ME, *ids), again=insert_again)
    middle = made[n // 2].cursor
    watch.row("page, 50 below a cursor half way", lambda: store.page(ME, before=middle), again=nothing)
    watch.row(f"page, 50 at offset {n // 2:,}", lambda: store.page(ME, offset=n // 2), again=nothing)
    watch.row("page, first 50 of one type in three", lambda: store.page(ME, types=TYPES[:1]), again=nothing)
    store.insert(Notification.new(ME, "rare", at=datetime(2020, 1, 1, tzinfo=UTC)))
    watch.row(
        f"page of a type whose one row is the oldest of {n:,}", lambda: store.page(ME, types=["rare"]), again=nothing
    )
    one = rows(ME, 1)
    watch.row("insert", lambda: store.insert(one[0]), again=lambda: store.delete(ME, one[0].id))
    keyed = Notification.new(ME, "export.progress", DATA, key="export:9")
    watch.row("upsert", lambda: store.upsert(keyed), again=nothing)
    watch.row("mark_read of one", lambda: store.mark_read(ME, keyed.id, at=seen), again=lambda: store.upsert(keyed))
    others = [row for i in range(1_000) for row in rows(Recipient(str(i)), 1)]
    insert_many = store.insert_many
    assert insert_many is not None
    watch.row("insert_many, 1,000 recipients", lambda: insert_many(others))
    store.erase(ME)

    def refill() -> None:
        for start in range(0, n, 5_000):
            insert_many(made[start : start + 5_000])

    refill()
    watch.row(f"prune of {n:,}", lambda: store.prune(older_than=utc_now()), again=refill)
    watch.row(f"erase of {n:,}", lambda: store.erase(ME), again=refill)


def main(n: int) -> None:
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        version = client.info("server")["redis_version"]
        print(f"Redis {version}, redis-py {redis.__version__}, data of {len(str(DATA))} characters")
        store = SyncRedisStore(client)
        memory(client, store)
        calls(client, store, n)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
