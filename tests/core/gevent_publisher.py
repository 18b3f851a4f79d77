"""A gevent process: an event loop in one greenlet, a publisher in another. Prints what a stream received."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import asyncio  # noqa: E402
import threading  # noqa: E402

from notistore import Event, Recipient, SseHub  # noqa: E402

hub = SseHub(heartbeat=None, lifetime=None)  # its timer wakes the loop every 15 seconds
user = Recipient("42")
subscribed = threading.Event()


async def listen() -> None:
    async with hub.subscribe(user) as stream:
        asyncio.get_running_loop().call_soon(subscribed.set)  # from its last callback before it goes to sleep
        print((await anext(stream)).decode(), end="", flush=True)


listening = threading.Thread(target=lambda: asyncio.run(listen()))
listening.start()
subscribed.wait()
for _ in range(10):
    threading.Event().wait(0.01)  # the other greenlet runs until its event loop waits for something to happen
hub.publish(user, Event("notification", 1))
listening.join(5)
print("late" if listening.is_alive() else "in time", flush=True)
