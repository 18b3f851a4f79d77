"""Runs checks on one subject, which is entered once, on an event loop of the kit's own in a thread of its own.

So it does not matter which asynchronous plugin, mode or loop the caller uses. One task enters the subject, starts
every check and leaves it again, so that what `make_store` puts into context variables is there for the checks.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from importlib import metadata
from types import TracebackType
from typing import Any, Final, Self

from notistore.errors import NotistoreError, Unsupported
from notistore.model import Notification
from notistore.store import supports

from .context import PROFILES, Broken, Context, NotOffered, NotRun, Profile
from .registry import CONTRACT, Check, as_numbers
from .report import About, Outcome, Result
from .subject import Subject, opened
from .surroundings import ALONE, CROWDED, Surroundings, check_neighbours, settle_neighbours

__all__ = ["Run"]

_TIMEOUT: Final = 30.0  # seconds for one check in one surroundings
_CLEARING: Final = 5.0
_PAGE: Final = 1000


class Run:
    """One run on one subject; a context manager. Not for use from its own event loop.

    Args:
        make_store: gives a context manager (or a generator) that yields the store or a `Subject`.
        profile: "quick" or "full".
        contract: the version of the contract to hold it against; later checks are left out.
        seed: what the random histories are drawn from.
        surroundings: where each check is run.

    Raises:
        ValueError: an unknown profile or version of the contract.
    """

    def __init__(
        self,
        make_store: Callable[[], Any],
        *,
        profile: str = "quick",
        contract: str = CONTRACT,
        seed: int = 0,
        surroundings: tuple[Surroundings, ...] = (ALONE, CROWDED),
    ) -> None:
        if profile not in PROFILES:
            raise ValueError(f"expected a profile among {', '.join(PROFILES)}, got {profile!r}")
        self.profile = PROFILES[profile]
        self.contract = contract
        self.seed = seed
        self._until = as_numbers(contract)
        self._make_store = make_store
        self._surroundings = surroundings
        self._subject: Future[Subject] = Future()
        self._closed: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, name="notistore-conformance", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._jobs: asyncio.Queue[tuple[Check, Future[Result]] | None]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._subject.exception() is not None:
            return  # make_store failed and whoever asked has been told
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, None)
        self._thread.join()
        self._closed.result()

    @property
    def failure(self) -> BaseException | None:
        """What make_store raised, once it has been entered or not; None where it gave a store."""
        return self._subject.exception()

    def run(self, check: Check) -> Result:
        """Run one check and wait for its result; raises what make_store raised, if it did."""
        self._subject.result()
        answer: Future[Result] = Future()
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, (check, answer))
        return answer.result()

    def about(self, name: str) -> About:
        """What a report says of this run; `name` is what the caller calls the store."""
        subject = self._subject.result()
        return About(
            name,
            self.profile.name,
            self.contract,
            metadata.version("notistore"),
            subject.distribution,
            subject.backend,
            self.seed,
        )

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
        async with opened(self._make_store) as subject:
            self._subject.set_result(subject)
            while job := await self._jobs.get():
                check, answer = job
                try:
                    answer.set_result(await self._check(check, subject))
                except BaseException as error:
                    answer.set_exception(error)

    async def _check(self, check: Check, subject: Subject) -> Result:
        started = time.perf_counter()
        outcome, message = Outcome.PASSED, ""
        if as_numbers(check.since) > self._until:
            outcome, message = Outcome.UNSUPPORTED, f"not in contract {self.contract}: since {check.since}"
        elif check.part is not None and not supports(subject.store, check.part):
            outcome, message = Outcome.UNSUPPORTED, f"not offered: {check.part}"
        else:
            for surroundings in self._surroundings[:1] if check.once else self._surroundings:
                outcome, message = await asyncio.create_task(
                    _attempt(check, subject, self.profile, self.seed, surroundings)
                )
                if outcome is not Outcome.PASSED:
                    break
        return Result(check.id, check.title, check.clauses, outcome, message, time.perf_counter() - started)


async def _attempt(
    check: Check, subject: Subject, profile: Profile, seed: int, where: Surroundings
) -> tuple[Outcome, str]:
    context = Context(check, subject, profile, seed, recipient_id=where.recipient_id, tenant=where.tenant)
    neighbours: Sequence[Notification] = ()
    try:
        async with asyncio.timeout(_TIMEOUT):
            if where.crowded:
                neighbours = await settle_neighbours(context)
            await check.body(context)
            await check_neighbours(context, neighbours)
    except NotOffered as reason:
        return Outcome.UNSUPPORTED, f"not offered: {reason}"
    except NotRun as reason:
        return Outcome.NOT_RUN, str(reason)
    except Unsupported as error:
        return (Outcome.MISSING if check.part is None else Outcome.UNSUPPORTED), f"not offered: {error}"
    except Broken as broken:
        return Outcome.FAILED, _placed(str(broken), where)
    except TimeoutError:
        text = context.explain(check.clauses, f"an end within {_TIMEOUT:.0f} s", "it was still going on")
        return Outcome.FAILED, _placed(text, where)
    except Exception as error:
        wrapped = "" if isinstance(error, NotistoreError) else " (which is no StoreError either, see [calls.errors])"
        text = context.explain(check.clauses, "no error", f"{type(error).__name__}: {error}{wrapped}")
        return Outcome.FAILED, _placed(f"{text}\n{''.join(traceback.format_exception(error))}", where)
    finally:
        await _clear(context, neighbours)
    return Outcome.PASSED, ""


def _placed(message: str, where: Surroundings) -> str:
    return message if where is ALONE else f"{message}\nrun {where.name}"


async def _clear(context: Context, neighbours: Sequence[Notification]) -> None:
    """Leave nothing behind. A store too broken for that has been reported already."""
    store = context.subject.store
    try:
        async with asyncio.timeout(_CLEARING):
            for row in neighbours:
                await store.delete(row.recipient, row.id)
            for recipient in context.recipients:
                rows = None
                while rows is None or len(rows) == _PAGE:
                    rows = await store.page(recipient, limit=_PAGE)
                    if not rows or not await store.delete(recipient, *(row.id for row in rows)):
                        break
    except Exception:
        return
