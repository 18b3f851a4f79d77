"""Where checks are run: one subject, entered once, on an event loop of the kit's own in a thread of its own.

So it does not matter which asynchronous plugin, mode or loop the caller uses. One task enters the subject, starts
every check and leaves it again, so that what the factory puts into context variables is there for the checks.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from abc import ABC, abstractmethod
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from .context import PROFILES
from .registry import CONTRACT, Check, as_numbers
from .report import About, Kind, Outcome, Result

__all__ = ["Stage"]

S = TypeVar("S")


class Stage(ABC, Generic[S]):
    """One run on one subject; a context manager. Not for use from its own event loop.

    Args:
        profile: "quick" or "full".
        contract: the version of the contract to hold the subject against; later checks are left out.
        seed: what is random is drawn from it.
        seconds: how long random histories may go on; by default the profile says.

    Raises:
        ValueError: an unknown profile or version of the contract.
    """

    kind: ClassVar[Kind]

    def __init__(
        self, *, profile: str = "quick", contract: str = CONTRACT, seed: int = 0, seconds: float | None = None
    ) -> None:
        if profile not in PROFILES:
            raise ValueError(f"expected a profile among {', '.join(PROFILES)}, got {profile!r}")
        self.profile = PROFILES[profile]
        if seconds is not None:
            self.profile = replace(self.profile, seconds=seconds)
        self.contract = contract
        self.seed = seed
        self._until = as_numbers(contract)
        self._subject: Future[S] = Future()
        self._closed: Future[None] = Future()
        self._told = False
        self._thread = threading.Thread(target=self._live, name="notistore-conformance", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._jobs: asyncio.Queue[tuple[Check, Future[Result]] | None]

    @abstractmethod
    def _open(self) -> AbstractAsyncContextManager[S]:
        """What is entered once, for all checks."""

    @abstractmethod
    async def _attempt(self, check: Check, subject: S) -> tuple[Outcome, str]:
        """Run a check; the outcome and its message, "" where it passed."""

    @abstractmethod
    def _versions(self, subject: S) -> tuple[str | None, str | None]:
        """What installed the subject, and what runs behind it, with their versions; None where that is not known."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._subject.exception() is not None:
            return  # the factory failed and whoever asked has been told
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, None)
        self._thread.join()
        self._closed.result()

    @property
    def failure(self) -> BaseException | None:
        """What the factory raised, once it has been entered or not; None where it gave a subject."""
        return self._subject.exception()

    def run(self, check: Check) -> Result:
        """Run one check and wait for its result; raises what the factory raised, if it did."""
        self._subject.result()
        answer: Future[Result] = Future()
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, (check, answer))
        return answer.result()

    def result(self, check: Check, factory: str) -> Result:
        """The same for a report that shows every check: where the factory failed the first one says so."""
        error = self.failure
        if error is None:
            return self.run(check)
        outcome, message = Outcome.NOT_RUN, f"{factory} could not be entered; the first check says why"
        if not self._told:
            self._told = True
            outcome, message = Outcome.FAILED, self.why(factory)
        return Result(check.id, check.title, check.clauses, outcome, message, 0.0)

    def why(self, factory: str) -> str:
        """What to say of a factory that failed: where, unless the kit itself found the mistake, and the error."""
        error = self.failure
        assert error is not None
        frame = traceback.extract_tb(error.__traceback__)[-1]
        inside = Path(frame.filename).is_relative_to(Path(__file__).parent)
        where = "" if inside else "".join(traceback.format_list([frame]))
        what = "".join(traceback.format_exception_only(error)).rstrip()
        return f"{factory} could not be entered, so no check can be run:\n{where}{what}"

    def about(self, name: str) -> About:
        """What a report says of this run; `name` is what the caller calls its subject."""
        distribution, backend = (None, None) if self.failure else self._versions(self._subject.result())
        kit = metadata.version("notistore")
        seed = self.seed if self.kind == "store" else None
        return About(name, self.profile.name, self.contract, kit, distribution, backend, seed, self.kind)

    def _live(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            waiting: Future[Any] = self._closed if self._subject.done() else self._subject
            waiting.set_exception(error)
        else:
            self._closed.set_result(None)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs = asyncio.Queue()
        async with self._open() as subject:
            self._subject.set_result(subject)
            while job := await self._jobs.get():
                check, answer = job
                try:
                    answer.set_result(await self._check(check, subject))
                except BaseException as error:
                    answer.set_exception(error)

    async def _check(self, check: Check, subject: S) -> Result:
        started = time.perf_counter()
        if as_numbers(check.since) > self._until:
            outcome, message = Outcome.UNSUPPORTED, f"not in contract {self.contract}: since {check.since}"
        else:
            outcome, message = await self._attempt(check, subject)
        return Result(check.id, check.title, check.clauses, outcome, message, time.perf_counter() - started)
