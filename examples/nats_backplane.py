"""A backplane of one's own, here over NATS: `pip install notistore "nats-py>=2.16"`, then

    python examples/nats_backplane.py nats://127.0.0.1:4222

runs two hubs, as two processes of one application would, and sends an event from one to a stream of the other.
"""

import asyncio
import hashlib
import secrets
import sys
from collections.abc import Callable, Collection, Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import SlowConsumerError

from notistore import Recipient, SseHub
from notistore.hub.backplane import Missed, Receive, cancel, keep_connected
from notistore.hub.events import Event


class NatsBackplane:
    """A `notistore.hub.backplane.Backplane`: one connection, one subject per key."""

    def __init__(self, url: str, *, prefix: str = "notistore.") -> None:
        self.url, self.prefix = url, prefix

    async def open(self, receive: Receive, missed: Missed) -> None:
        self.receive, self.missed = receive, missed
        self.keys: set[str] = set()
        self.subscriptions: dict[str, Subscription] = {}
        self.client: Client | None = None
        self.lock = asyncio.Lock()
        self.tried = asyncio.Event()
        self.task = asyncio.create_task(keep_connected(self.session, "NATS backplane"))
        await self.tried.wait()

    async def session(self, up: Callable[[], None]) -> None:
        """One connection, from its beginning to its end; a flush each second finds out whether it is still one."""

        async def on_error(error: Exception) -> None:
            if isinstance(error, SlowConsumerError):  # any other is seen below
                self.missed()

        client = Client()
        once = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0.1}
        try:
            async with asyncio.timeout(3):
                await client.connect(self.url, error_cb=on_error, **once)
            self.client, again = client, bool(self.keys)
            await self.listen()
            up()
            self.tried.set()
            if again:
                self.missed()
            while True:
                await asyncio.sleep(1)
                await self.settle(self.connected())
        finally:
            self.client, self.subscriptions = None, {}
            self.tried.set()
            await client.close()

    async def subscribe(self, keys: Collection[str]) -> None:
        self.keys.update(keys)
        await self.listen()

    async def unsubscribe(self, keys: Collection[str]) -> None:
        self.keys.difference_update(keys)
        await self.listen()

    async def listen(self) -> None:
        """Bring the subscriptions in line with the keys; return once the server has it all."""
        async with self.lock:
            client = self.connected()
            for key in self.keys - self.subscriptions.keys():

                async def take(message: Msg, key: str = key) -> None:
                    self.receive(key, message.data)

                self.subscriptions[key] = await client.subscribe(self.subject(key), cb=take)
            for key in self.subscriptions.keys() - self.keys:
                await self.subscriptions.pop(key).unsubscribe()
            await self.settle(client)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        client = self.connected()
        for key, message in messages:
            await client.publish(self.subject(key), message)
        await self.settle(client)

    async def close(self) -> None:
        await cancel(self.task)

    async def settle(self, client: Client) -> None:
        """Return once the server has had everything: nats-py sends a first flush ahead of what waits to be sent."""
        await client.flush(2)
        await client.flush(2)

    def subject(self, key: str) -> str:
        return self.prefix + hashlib.sha256(key.encode()).hexdigest()  # keys may hold dots, stars and spaces

    def connected(self) -> Client:
        if self.client is None or not self.client.is_connected:
            raise ConnectionError("no connection to NATS at the moment")
        return self.client


async def main(url: str) -> None:
    user, secret = Recipient("42"), secrets.token_bytes()  # every process of an application has the same secret
    async with (
        SseHub(NatsBackplane(url), secret=secret) as one,
        SseHub(NatsBackplane(url), secret=secret) as other,
        one.subscribe(user) as stream,
    ):
        other.publish(user, Event("greeting", {"from": "the other process"}))
        async with asyncio.timeout(5):
            print((await anext(stream)).decode(), end="")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "nats://127.0.0.1:4222"))
