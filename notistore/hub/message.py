"""Message: what hubs send each other through a backplane, and its encoding.

8 bytes     id of the sending process
1 byte      its `Kind`
32 bytes    HMAC-SHA256 of the channel, a line feed and everything else; zeros if the hubs have no secret
text, LF    on the channel of all streams, the prefix of the recipients' keys; else empty
the rest    for `Kind.EVENTS`, frames as `Event.encode` writes them
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from .streams import EVERYONE

__all__ = ["NODE_BYTES", "Kind", "Message"]

NODE_BYTES: Final = 8

_SIGNATURE_BYTES: Final = 32
_UNSIGNED: Final = bytes(_SIGNATURE_BYTES)
_HEAD_BYTES: Final = NODE_BYTES + 1
_FRAMES: Final = re.compile(rb"(?:event: [^\r\n\0]*\n(?:id: [^\r\n\0]*\n)?(?:retry: \d+\n)?data:[^\r\n\0]*\n\n)+")


class Kind(Enum):
    """What a message says."""

    EVENTS = b"e"
    """These events happened. Believed only where it is signed."""
    REFETCH = b"r"
    """Something changed for these streams: they get a fresh count and refetch."""
    END = b"x"
    """End these streams."""
    MISSED = b"m"
    """Events were lost, and it is not known whose."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        node: the process that sent it.
        kind: what it says.
        address: which streams it is for.
        frames: the events, encoded; empty for other kinds.
        is_signed: of a decoded message, whether it was signed with the secret.
    """

    node: bytes
    kind: Kind
    address: str
    frames: bytes = b""
    is_signed: bool = field(default=False, compare=False)

    @property
    def channel(self) -> str:
        """What the backplane calls a key: the address, or the one channel that every process subscribes to."""
        return EVERYONE if self.address.startswith(EVERYONE) else self.address

    def encode(self, secret: bytes | None = None) -> bytes:
        head = self.node + self.kind.value
        rest = self.address.removeprefix(self.channel).encode() + b"\n" + self.frames
        return head + (_UNSIGNED if secret is None else _signature(secret, self.channel, head, rest)) + rest

    @classmethod
    def decode(cls, channel: str, data: bytes, secret: bytes | None = None) -> Message:
        """Raises ValueError for anything that `encode` does not write, whatever its signature."""
        head, rest = data[:_HEAD_BYTES], data[_HEAD_BYTES + _SIGNATURE_BYTES :]
        kind = Kind(head[NODE_BYTES:])
        target, line_feed, frames = rest.partition(b"\n")
        if not line_feed or (target and channel != EVERYONE):
            raise ValueError("the message has no address, or that of another channel")
        if kind is Kind.EVENTS:
            frames.decode()
        if not (_FRAMES.fullmatch(frames) if kind is Kind.EVENTS else frames == b""):
            raise ValueError("the message holds something that is no event")
        signature = data[_HEAD_BYTES : _HEAD_BYTES + _SIGNATURE_BYTES]
        is_signed = secret is not None and hmac.compare_digest(signature, _signature(secret, channel, head, rest))
        return cls(head[:NODE_BYTES], kind, channel + target.decode(), frames, is_signed)


def _signature(secret: bytes, channel: str, head: bytes, rest: bytes) -> bytes:
    return hmac.digest(secret, b"".join((channel.encode(), b"\n", head, rest)), "sha256")
