"""The two kinds of notification id, both lower-case UUID strings of 36 characters (docs/ids.md).

`new_id` makes ids in time order. `keyed_id` derives an id from a recipient and a key, so that replacing the
notification of a key is an upsert on the primary key, and can never change another recipient's row.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .model import Recipient

__all__ = ["is_id", "keyed_id", "new_id"]

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A UUIDv7 (RFC 9562, 5.7), greater than all that this process made before, even if the clock was set back.

    48 bits of Unix milliseconds, then a 12-bit fraction of the millisecond that doubles as the counter (RFC 9562,
    6.2, method 3), then 62 random bits.
    """
    global _last
    ticks = time.time_ns() * 4096 // 1_000_000
    with _lock:
        _last = ticks = max(ticks, _last + 1)
    milliseconds, fraction = divmod(ticks, 4096)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)))


def keyed_id(recipient: Recipient, key: str) -> str:
    """The id of the notification with this key in this recipient's inbox: a UUIDv8 (RFC 9562, 5.8).

    The first 128 bits of SHA-256 over the UTF-8 of (tenant or "", recipient type, recipient id, key), each preceded
    by its length in bytes as four bytes, big-endian; then version 8 and the RFC's variant set. Test vectors for other
    languages are in docs/ids.md. Moving a notification to another recipient, tenant or key changes its id.
    """
    digest = hashlib.sha256()
    for part in (recipient.tenant or "", recipient.type, recipient.id, key):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    number = int.from_bytes(digest.digest()[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return str(uuid.UUID(int=number))


def is_id(text: object) -> bool:
    """Whether `text` has the form of a notification id. If not, it is an unknown id and is not passed to a store."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None
