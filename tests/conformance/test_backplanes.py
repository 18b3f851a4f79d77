"""The backplane kit, on backplanes over real servers, and on ones that break one promise each."""

import uuid

import pytest

from notistore_conformance import Outcome, check_backplane
from notistore_conformance.backplanes import BACKPLANE_CHECKS
from notistore_postgres import PostgresBackplane


class Bus:
    """What backplanes of one process share in place of a server."""

    def __init__(self):
        self.nodes = []


class MemoryBackplane:
    def __init__(self, bus):
        self.bus = bus
        self.keys = set()

    async def open(self, receive, missed):
        self.receive = receive
        self.bus.nodes.append(self)

    async def subscribe(self, keys):
        self.keys |= set(keys)

    async def unsubscribe(self, keys):
        self.keys -= set(keys)

    async def publish(self, messages):
        for key, message in messages:
            for node in self.bus.nodes:
                if node.wants(key):
                    node.receive(key, message)

    def wants(self, key):
        return key in self.keys

    async def close(self):
        self.bus.nodes.remove(self)


class DoesNotHearItself(MemoryBackplane):
    async def publish(self, messages):
        self.bus.nodes.remove(self)
        await super().publish(messages)
        self.bus.nodes.append(self)


class SubscribesLater(MemoryBackplane):
    later: frozenset = frozenset()

    async def subscribe(self, keys):
        await super().subscribe(self.later)
        self.later = frozenset(keys)


class FoldsKeys(MemoryBackplane):
    def wants(self, key):
        return key.lower() in {own.lower() for own in self.keys}


class LimitsMessages(MemoryBackplane):
    async def publish(self, messages):
        await super().publish([(key, message[:8000]) for key, message in messages])


class UnsubscribesForGood(MemoryBackplane):
    async def unsubscribe(self, keys):
        await super().unsubscribe(keys)
        self.gone = set(keys)

    def wants(self, key):
        return super().wants(key) and key not in getattr(self, "gone", ())


class OpensOnce(MemoryBackplane):
    async def close(self):
        await super().close()
        self.wants = lambda key: False


BROKEN = {
    "backplane/delivers": DoesNotHearItself,
    "backplane/at-once": SubscribesLater,
    "backplane/keys": FoldsKeys,
    "backplane/bytes": LimitsMessages,
    "backplane/unsubscribe": UnsubscribesForGood,
    "backplane/closes": OpensOnce,
}


def test_every_check_has_a_broken_backplane():
    assert BROKEN.keys() == BACKPLANE_CHECKS.keys()


@pytest.mark.parametrize("id", BROKEN)
async def test_a_broken_backplane_is_caught_by_the_check_named_for_it(id, monkeypatch):
    monkeypatch.setattr("notistore_conformance.backplanes._ARRIVAL", 0.1)
    bus = Bus()
    report = await check_backplane(lambda: BROKEN[id](bus))
    assert id in [result.id for result in report.failed], str(report)
    assert "promised:" in next(result.message for result in report.failed if result.id == id)


async def test_a_backplane_that_does_it_all_conforms():
    bus = Bus()
    report = await check_backplane(lambda: MemoryBackplane(bus), name="memory")
    assert report.verdict == f"CONFORMS ({len(BACKPLANE_CHECKS)} passed)", str(report)
    assert {result.outcome for result in report.results} == {Outcome.PASSED}


async def test_the_backplane_of_postgresql_conforms(postgres_url):
    prefix = f"kit_{uuid.uuid4().hex[:8]}"
    report = await check_backplane(lambda: PostgresBackplane(postgres_url, prefix=prefix))
    assert report.conforms, str(report)
