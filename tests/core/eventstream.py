"""A reader of event streams, written from WHATWG HTML 9.2.6 alone: it parses the bytes as a browser does."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Frame:
    """One event as a page sees it, with the last event id and reconnection time in effect when it is dispatched."""

    name: str
    data: str
    last_id: str = ""
    retry: int | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.data) if self.data else None


def parse(stream: bytes) -> list[Frame]:
    frames: list[Frame] = []
    name, data, last_id, retry = "", "", "", None
    lines = re.split("\r\n|\n|\r", stream.decode("utf-8-sig"))
    for line in lines[:-1]:  # what follows the last line end is not a line yet
        if not line:
            if data:
                frames.append(Frame(name or "message", data.removesuffix("\n"), last_id, retry))
            name, data = "", ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "event":
                name = value
            case "data":
                data += value + "\n"
            case "id" if "\0" not in value:
                last_id = value
            case "retry" if value.isascii() and value.isdigit():
                retry = int(value)
    return frames
