"""Dramatiq, processes with threads: `pip install "notistore[sqlalchemy,redis]" "dramatiq[redis]" psycopg`, then

dramatiq --path examples/workers -- with_dramatiq &
python examples/workers/with_dramatiq.py ada
"""

import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from shared import REDIS, make_sync_inbox

from notistore import Recipient

inbox = make_sync_inbox()


class InboxMiddleware(dramatiq.Middleware):
    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        inbox.start()  # after the fork

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        inbox.close()  # waits until published events have been sent


broker = RedisBroker(url=REDIS)
broker.add_middleware(InboxMiddleware())
dramatiq.set_broker(broker)


@dramatiq.actor
def remind(user: str, first: int, count: int) -> None:
    for number in range(first, first + count):
        # A message may be delivered twice. With a key that is one notification all the same.
        inbox.send(Recipient(user), "reminder", {"number": number}, key=f"reminder:{number}")


if __name__ == "__main__":
    for first in range(0, 1000, 250):
        remind.send(sys.argv[1], first, 250)
