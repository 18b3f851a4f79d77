"""Starts, controls and ends other processes that open the store under test."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Any, Final

from notistore.model import Notification

from .worker import CallRecord, Round

__all__ = ["CannotOpen", "Workers", "hand_over", "workers"]

_OPEN_TIMEOUT: Final = 60.0  # seconds until the store is open in every process
_CLOSE_TIMEOUT: Final = 10.0


class CannotOpen(Exception):
    """The store could not be made in another process, or was lost there. The message says why."""


def hand_over(make_store: Callable[[], Any]) -> str:
    """The factory as text for other processes; raises CannotOpen if they cannot import it."""
    try:
        return base64.b64encode(pickle.dumps(make_store)).decode()
    except Exception as error:  # pickle raises whatever the object raises
        raise CannotOpen(f"make_store cannot be handed to another process: {error}") from error


@asynccontextmanager
async def workers(made: str, count: int) -> AsyncIterator[Workers]:
    """Start processes for the result of `hand_over`; at the end they close their stores, or are killed."""
    with ExitStack() as stack:
        processes = [_Process(stack, n + 1) for n in range(count)]
        yield Workers(made, processes)
        await asyncio.gather(*(asyncio.to_thread(each.close) for each in processes))


class Workers:
    """Processes that can create the store."""

    def __init__(self, made: str, processes: Sequence[_Process]) -> None:
        self._made, self._processes = made, processes

    async def open(self, probe: Notification) -> bool:
        """Open the store in each process, one after another. Returns whether all of them find this row.

        Raises:
            CannotOpen: `make_store` could not be imported there, or raised.
        """
        order = {"make_store": self._made}
        who = probe.recipient
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT):
                await asyncio.gather(*(each.ask(order | {"process": each.number}) for each in self._processes))
                look = {"recipient": (who.id, who.type, who.tenant), "id": probe.id}
                for each in self._processes:  # in turn: creating a table at once is another check's
                    if not (await each.ask(look))["found"]:
                        return False
                return True
        except TimeoutError:
            raise CannotOpen(f"make_store was not entered within {_OPEN_TIMEOUT:.0f} s in another process") from None

    async def race(self, round: Round) -> list[CallRecord]:
        """Have every process take part in one round."""
        answers = await asyncio.gather(*(each.ask(asdict(round)) for each in self._processes))
        return [CallRecord(**record) for answer in answers for record in answer["records"]]


class _Process:
    def __init__(self, stack: ExitStack, number: int) -> None:
        self.number = number
        self._errors = stack.enter_context(tempfile.TemporaryFile("w+", errors="replace"))  # noqa: SIM115
        self._process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},  # what this one can import
            )
        )
        stack.callback(self._process.kill)  # before its end is waited for; after `close` there is none to kill

    async def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send a command and wait for its reply."""
        line = await asyncio.to_thread(self._exchange, json.dumps(order))
        answer: dict[str, Any] = json.loads(line) if line else {"error": self._last_words()}
        if "error" in answer:
            raise CannotOpen(f"another process failed: {answer['error']}")
        return answer

    def close(self) -> None:
        """Make the process close its store and exit."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            return

    def _exchange(self, order: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
        except OSError:
            return ""
        return self._process.stdout.readline()

    def _last_words(self) -> str:
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        return f"it ended by itself ({said[-1] if said else 'without a word'})"
