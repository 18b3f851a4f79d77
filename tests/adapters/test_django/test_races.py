"""Several processes, each with several threads, on the same rows: no error, and every promise of the contract kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from notistore import Recipient
from notistore_django.store import SyncDjangoStore

from .racer import KEYS, LONG_AGO, THREADS

PROCESSES = 3
ROOT = Path(__file__).parents[3]


def race(name: str, entry: dict[str, Any], user: Recipient, rounds: int) -> Counter[str]:
    """Run the processes, and add up their results."""
    task = json.dumps({"race": name, "entry": entry, "user": user.id, "rounds": rounds})
    command = [sys.executable, "-W", "error", "-m", "tests.adapters.test_django.racer", task]
    racers = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(PROCESSES)
    ]
    total: Counter[str] = Counter()
    for racer in racers:
        output, errors = racer.communicate(timeout=60)
        assert racer.returncode == 0, errors.decode()
        total += Counter(json.loads(output))
    return total


def test_each_upsert_of_a_hot_key_gets_a_version_of_its_own(entry: dict[str, Any], alias: str, user: Recipient) -> None:
    rounds = 40
    done = race("upserts", entry, user, rounds)
    assert set(done.values()) == {1}, "two upserts returned the same version"
    rows = SyncDjangoStore(alias).page(user)
    assert {row.key for row in rows} == set(KEYS)
    assert sum(row.version for row in rows) == len(done) == PROCESSES * THREADS * rounds


def test_everything_at_once_raises_nothing_and_counts_each_row_once(
    entry: dict[str, Any], alias: str, user: Recipient
) -> None:
    store = SyncDjangoStore(alias)
    store.prune(older_than=LONG_AGO + timedelta(days=366))  # what other tests left would be counted as pruned
    done = race("mixture", entry, user, 60)
    store.delete(user, *(row.id for row in store.page(user, types=["hot"])))
    assert done["inserted"] - done["pruned"] == store.count(user)
    assert store.unread_count(user) == len(store.page(user, unread_only=True, limit=10_000))
