"""RQ, whose worker forks for each job: `pip install "notistore[sqlalchemy,redis]" rq psycopg`, then

rq worker --path examples/workers --config with_rq &
python examples/workers/with_rq.py ada
"""

import sys

from redis import Redis
from rq import Queue
from shared import REDIS, make_sync_inbox

from notistore import Recipient

REDIS_URL = REDIS  # a setting of RQ's; with `--config` the worker imports this module once, not in each job
inbox = make_sync_inbox()


def remind(user: str, first: int, count: int) -> None:
    with inbox:  # a job has a process of its own, so the backplane is connected for each
        for number in range(first, first + count):
            inbox.send(Recipient(user), "reminder", {"number": number}, key=f"reminder:{number}")


if __name__ == "__main__":
    queue = Queue(connection=Redis.from_url(REDIS))
    for first in range(0, 1000, 250):
        queue.enqueue("with_rq.remind", sys.argv[1], first, 250)
