"""Celery, processes that fork (prefork): `pip install "notistore[sqlalchemy,redis]" "celery[redis]" psycopg`, then

celery --workdir examples/workers --app with_celery worker &
python examples/workers/with_celery.py ada
"""

import sys

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown
from shared import REDIS, make_sync_inbox

from notistore import Recipient

app = Celery("with_celery", broker=REDIS)
inbox = make_sync_inbox()


@worker_process_init.connect
def start(**_: object) -> None:
    inbox.start()  # in the process that was forked: no thread and no connection survives a fork


@worker_process_shutdown.connect
def close(**_: object) -> None:
    inbox.close()  # waits until published events have been sent


@app.task
def remind(user: str, first: int, count: int) -> None:
    for number in range(first, first + count):
        # A task may run twice. With a key that is one notification all the same.
        inbox.send(Recipient(user), "reminder", {"number": number}, key=f"reminder:{number}")


if __name__ == "__main__":
    for first in range(0, 1000, 250):
        remind.delay(sys.argv[1], first, 250)
