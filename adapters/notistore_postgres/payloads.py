"""Messages as NOTIFY payloads: text of less than 8,000 bytes each, so that a long message takes several.

All payloads of one transaction arrive together and in order, so that the parts of a message always follow each other.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from itertools import count
from typing import Final

from notistore.hub.backplane import Missed, Receive

_MAX_PART: Final = 7_900  # of 7,999 bytes; the rest is for the header
_MAX_MESSAGE: Final = 64 * 1024 * 1024  # maximum characters of one message; longer ones are dropped


class Splitter:
    """Makes the payloads of messages. Each is unique, since NOTIFY drops duplicates within a transaction."""

    def __init__(self) -> None:
        self._sender = secrets.token_hex(6)
        self._numbers = count()

    def split(self, key: str, message: bytes) -> Iterator[str]:
        text = b64encode(key.encode() + b"\n" + message).decode()
        number = next(self._numbers)
        last = (len(text) - 1) // _MAX_PART
        for part in range(last + 1):
            yield f"{self._sender}-{number} {part} {last} {text[part * _MAX_PART : (part + 1) * _MAX_PART]}"


class Joiner:
    """Joins the payloads received on one connection to messages. Holds one message at a time."""

    def __init__(self, receive: Receive, missed: Missed) -> None:
        self._receive = receive
        self._missed = missed
        self._id = ""
        self._parts: list[str] = []

    def add(self, payload: str) -> None:
        try:
            id, part, last, text = payload.split(" ")
            first, complete = part == "0", part == last
            if first:
                self._id, self._parts = id, []
            if id != self._id or int(part) != len(self._parts) or len(self._parts) * _MAX_PART > _MAX_MESSAGE:
                self._id = ""
                if complete:
                    self._missed()
                return
            self._parts.append(text)
            if complete:
                parts, self._parts = self._parts, []
                key, message = b64decode("".join(parts), validate=True).split(b"\n", 1)
                self._receive(key.decode(), message)
        except ValueError:
            return  # of another program, on a channel of the same name
