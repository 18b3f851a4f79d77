"""A job queue's worker in blocking code: `python -m tests.sync_worker <arguments of work() as JSON>`.

Each line on standard input is a job: "ring" if its last update renotifies, else "quiet". It prints "done" after each.
"""

from __future__ import annotations

import json
import sys

from notistore import Inbox, Recipient, SseHub
from notistore.sync import SyncInbox

from .backplane.kinds import SECRET, make
from .backplane.processes import finish

KEY = "export:9"
STAGES = (0, 20, 40, 60, 80, 100)


def work(calls: str, kind: str, url: str, prefix: str, database: str, user: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.ext.asyncio import create_async_engine

    from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore

    plane, close = make(kind, url, prefix)
    if calls == "sync":
        engine = create_engine(database.replace("+aiosqlite", ""))
        with SyncInbox(SyncSQLAlchemyStore(engine), SseHub(plane, secret=SECRET)) as inbox:
            export_on_demand(inbox, Recipient(user))
        engine.dispose()
    else:
        other = create_async_engine(database)
        with SyncInbox(Inbox(SQLAlchemyStore(other), SseHub(plane, secret=SECRET))) as inbox:
            export_on_demand(inbox, Recipient(user))
            inbox.run(finish(other.dispose, close))


def export_on_demand(inbox: SyncInbox, user: Recipient) -> None:
    for line in sys.stdin:
        renotify_at_the_end = line.strip() == "ring"
        for percent in STAGES:
            renotify = percent == 100 and renotify_at_the_end
            inbox.send(user, "export", {"progress": percent}, key=KEY, renotify=renotify)
        print("done", flush=True)


if __name__ == "__main__":
    work(*json.loads(sys.argv[1]))
