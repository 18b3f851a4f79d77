"""An event stream, read frame by frame as it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx

__all__ = ["Frame", "Stream"]

_FRAME_TIMEOUT: Final = 5.0  # seconds until a frame counts as lost


@dataclass(frozen=True, slots=True)
class Frame:
    """One event. Fields that it lacks are None; several `data:` lines are joined as browsers join them."""

    raw: bytes
    event: str | None
    id: str | None
    retry: str | None
    data: str | None

    def json(self) -> Any:
        return json.loads(self.data or "null")

    @classmethod
    def parse(cls, raw: bytes) -> Frame:
        fields: dict[str, str] = {}
        for line in raw.decode(errors="replace").replace("\r\n", "\n").split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name:
                fields[name] = f"{fields[name]}\n{value}" if name == "data" and "data" in fields else value
        return cls(raw, fields.get("event"), fields.get("id"), fields.get("retry"), fields.get("data"))


class Stream:
    """An open stream."""

    def __init__(self, answer: httpx.Response, done: list[str]) -> None:
        self.status = answer.status_code
        self.headers = answer.headers
        self.read = b""
        self._chunks: AsyncIterator[bytes] = answer.aiter_raw()
        self._left = b""
        self._done = done

    async def frame(self) -> Frame | None:
        """The next event, without comments; None at the end. TimeoutError if nothing arrives."""
        async with asyncio.timeout(_FRAME_TIMEOUT):
            while True:
                # Lines that end otherwise are for the check of line ends to find, not for every one to wait for.
                readable = self._left.replace(b"\r\n", b"\n")
                if b"\n\n" in readable:
                    raw, self._left = readable.split(b"\n\n", 1)
                    if any(not line.startswith(b":") for line in raw.split(b"\n") if line):
                        self._done.append(f"stream: {' | '.join(raw.decode(errors='replace').split(chr(10)))[:200]}")
                        return Frame.parse(raw)
                    continue
                chunk = await anext(self._chunks, None)
                if chunk is None:
                    return None
                self.read += chunk
                self._left += chunk
