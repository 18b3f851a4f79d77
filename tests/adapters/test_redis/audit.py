"""Reads Redis directly, and checks that the keys of every inbox are consistent with each other."""

from __future__ import annotations

from collections import Counter
from typing import Any


def audit(client: Any, prefix: str) -> int:
    """Assert that sets, counts and owners match the rows, and that nothing is left of empty inboxes.

    Args:
        client: a sync client, of a server or a cluster, with `decode_responses=True`.
        prefix: that of the store.

    Returns how many rows there are.
    """
    kept = [
        key for key in client.scan_iter() if key.startswith(prefix) and ":call:" not in key and key != f"{prefix}layout"
    ]
    stems = {key.rpartition(":")[0] for key in kept if not key.startswith(f"{prefix}ids:")}
    drawn: set[str] = set()
    for stem in stems:
        rows: dict[str, str] = client.hgetall(f"{stem}:rows")
        members: dict[str, str] = {}
        counts: Counter[str] = Counter()
        unread = set()
        for id, text in rows.items():
            created, _, read, type, *_ = text.split("\n")
            members[id] = created + id + type
            counts.update(("all:", f"all:{type}"))
            if not read.strip("-"):
                unread.add(id)
                counts.update(("unread:", f"unread:{type}"))
        assert set(client.zrange(f"{stem}:all", 0, -1)) == set(members.values()), stem
        assert set(client.zrange(f"{stem}:unread", 0, -1)) == {members[id] for id in unread}, stem
        assert client.hgetall(f"{stem}:counts") == {name: str(n) for name, n in counts.items()}, stem
        ids = {id for id in rows if id[14] == "7"}
        assert not ids & drawn, "an id in two inboxes"
        drawn |= ids
    owned = {id for key in kept if key.startswith(f"{prefix}ids:") for id in client.hkeys(key)}
    assert owned >= drawn
    return sum(client.hlen(f"{stem}:rows") for stem in stems)
