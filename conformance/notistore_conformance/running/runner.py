"""Runs checks on one implementation, which is entered once, on an event loop in a separate thread.

So it does not matter which asynchronous plugin, mode or loop the caller uses. One task enters the implementation,
starts every check and leaves it again, so that what the factory puts into context variables is there for the checks.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from abc import ABC, abstractmethod
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from ..registry import CONTRACT, Check, Kind
from ..reports.report import About, Outcome, Result
from .profiles import PROFILES
from .signals import raising_terminated

__all__ = ["Runner"]

S = TypeVar("S")


class Runner(ABC, Generic[S]):
    """One run on one implementation; a context manager. Do not use it from its own event loop.

    Args:
        profile: "quick" or "full".
        seed: what is random is drawn from it.
        seconds: how long random histories may go on; by default the profile says.

    Raises:
        ValueError: an unknown profile.
    """

    kind: ClassVar[Kind]

    def __init__(self, *, profile: str = "quick", seed: int = 0, seconds: float | None = None) -> None:
        if profile not in PROFILES:
            raise ValueError(f"expected a profile among {', '.join(PROFILES)}, got {profile!r}")
        self.profile = PROFILES[profile]
        if seconds is not None:
            self.profile = replace(self.profile, seconds=seconds)
        self.seed = seed
        self._implementation: Future[S] = Future()
        self._closed: Future[None] = Future()
        self._failure_reported = False
        self._running: asyncio.Task[Result] | None = None
        self._signals = ExitStack()
        self._thread = threading.Thread(target=self._live, name="notistore-conformance", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._jobs: asyncio.Queue[tuple[Check, Future[Result]] | None]

    @abstractmethod
    def _open(self) -> AbstractAsyncContextManager[S]:
        """The context that is entered once for all checks."""

    @abstractmethod
    async def _attempt(self, check: Check, implementation: S) -> tuple[Outcome, str]:
        """Run a check. Returns the outcome and its message, "" if it passed."""

    @abstractmethod
    def _versions(self, implementation: S) -> tuple[str | None, str | None]:
        """The distribution that installed the implementation, and its backend, with their versions; None if unknown."""

    def __enter__(self) -> Self:
        self._signals.enter_context(raising_terminated())
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._signals:
            if self._implementation.exception() is not None:
                return  # the factory failed, and the caller has got the error
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join()
            self._closed.result()

    def _end(self) -> None:
        """Start no more checks. After KeyboardInterrupt a running check is cancelled and deletes its rows."""
        if self._running is not None:
            self._running.cancel()
        self._jobs.put_nowait(None)

    @property
    def left(self) -> str:
        """The rows of checks that could not be deleted, and why; empty if nothing is left."""
        return ""

    @property
    def failure(self) -> BaseException | None:
        """The factory's exception, after it was called; None if it returned an implementation."""
        return self._implementation.exception()

    def run(self, check: Check) -> Result:
        """Run one check and wait for its result. Raises the factory's exception, if any."""
        self._implementation.result()
        answer: Future[Result] = Future()
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, (check, answer))
        return answer.result()

    def result(self, check: Check, factory: str) -> Result:
        """The same for a report of every check: if the factory failed, the first check has its error."""
        error = self.failure
        if error is None:
            return self.run(check)
        outcome, message = Outcome.NOT_RUN, f"{factory} could not be entered; the first check says why"
        if not self._failure_reported:
            self._failure_reported = True
            outcome, message = Outcome.FAILED, self.why(factory)
        return Result(check.id, check.title, check.clauses, outcome, message, 0.0)

    def why(self, factory: str) -> str:
        """The message for a factory that failed: the error, and where, unless the kit itself raised it."""
        error = self.failure
        assert error is not None
        frame = traceback.extract_tb(error.__traceback__)[-1]
        inside = Path(frame.filename).is_relative_to(Path(__file__).parents[1])
        where = "" if inside else "".join(traceback.format_list([frame]))
        what = "".join(traceback.format_exception_only(error)).rstrip()
        return f"{factory} could not be entered, so no check can be run:\n{where}{what}"

    def about(self, name: str) -> About:
        """The header of a report; `name` is the caller's name for the implementation."""
        distribution, backend = (None, None) if self.failure else self._versions(self._implementation.result())
        kit = metadata.version("notistore")
        seed = self.seed if self.kind == "store" else None
        return About(name, self.profile.name, CONTRACT, kit, distribution, backend, seed, self.kind)

    def _live(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            waiting: Future[Any] = self._closed if self._implementation.done() else self._implementation
            waiting.set_exception(error)
        else:
            self._closed.set_result(None)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs = asyncio.Queue()
        async with self._open() as implementation:
            self._implementation.set_result(implementation)
            while job := await self._jobs.get():
                check, answer = job
                self._running = asyncio.create_task(self._check(check, implementation))
                try:
                    answer.set_result(await self._running)
                except BaseException as error:
                    answer.set_exception(error)
                self._running = None

    async def _check(self, check: Check, implementation: S) -> Result:
        started = time.perf_counter()
        outcome, message = await self._attempt(check, implementation)
        return Result(check.id, check.title, check.clauses, outcome, message, time.perf_counter() - started)
