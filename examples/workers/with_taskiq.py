"""taskiq, an event loop: `pip install "notistore[sqlalchemy,redis]" taskiq taskiq-redis asyncpg`, then

taskiq worker --app-dir examples/workers with_taskiq:broker &
python examples/workers/with_taskiq.py ada
"""

import asyncio
import sys

from shared import REDIS, make_async_store, make_hub
from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import ListQueueBroker

from notistore import Inbox, Recipient

# taskiq-redis waits for a task without a limit, and redis-py 8 would end that wait after 5 s, and the worker with it.
broker = ListQueueBroker(REDIS, socket_timeout=None)
hub = make_hub()
inbox = Inbox(make_async_store(), hub)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close(state: TaskiqState) -> None:
    await hub.aclose()  # waits until published events have been sent


@broker.task("remind")
async def remind(user: str, first: int, count: int) -> None:
    for number in range(first, first + count):
        await inbox.send(Recipient(user), "reminder", {"number": number}, key=f"reminder:{number}")


async def main() -> None:
    await broker.startup()
    for first in range(0, 1000, 250):
        await remind.kiq(sys.argv[1], first, 250)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
