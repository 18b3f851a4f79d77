"""Runs the checks of a store on one subject, alone and beside neighbours."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Callable, Sequence
from concurrent import futures
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from notistore.errors import NotistoreError, Unsupported
from notistore.model import Notification
from notistore.store import supports

from .context import Broken, Context, NotOffered, NotRun
from .registry import Check
from .report import Outcome
from .stage import Stage
from .subject import Subject, opened
from .surroundings import ALONE, CROWDED, Surroundings, check_neighbours, settle_neighbours

__all__ = ["Run"]

_CLEARING: Final = 5.0
_FRAMES: Final = 5
_PAGE: Final = 1000


class Run(Stage[Subject]):
    """The checks of a store.

    Args:
        make_store: gives a context manager (or a generator) that yields the store or a `Subject`.
        surroundings: where each check is run.
        processes: whether other processes may call `make_store` too, where the subject does not say.
        options: `Stage`'s own.
    """

    kind = "store"

    def __init__(
        self,
        make_store: Callable[[], Any],
        *,
        surroundings: tuple[Surroundings, ...] = (ALONE, CROWDED),
        processes: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._make_store = make_store
        self._surroundings = surroundings
        self._processes = processes

    def _open(self) -> AbstractAsyncContextManager[Subject]:
        return opened(self._make_store)

    def _versions(self, subject: Subject) -> tuple[str | None, str | None]:
        return subject.distribution, subject.backend

    async def _attempt(self, check: Check, subject: Subject) -> tuple[Outcome, str]:
        if check.part is not None and not supports(subject.store, check.part):
            return Outcome.UNSUPPORTED, f"not offered: {check.part}"
        outcome, message = Outcome.PASSED, ""
        for surroundings in self._surroundings[:1] if check.once else self._surroundings:
            outcome, message = await asyncio.create_task(self._attempt_in(surroundings, check, subject))
            if outcome is not Outcome.PASSED:
                break
        return outcome, message

    async def _attempt_in(self, where: Surroundings, check: Check, subject: Subject) -> tuple[Outcome, str]:
        context = Context(
            check,
            subject,
            self.profile,
            self.seed,
            make_store=self._make_store if self._processes or subject.processes else None,
            recipient_id=where.recipient_id,
            tenant=where.tenant,
        )
        neighbours: Sequence[Notification] = ()
        try:
            async with asyncio.timeout(check.seconds):
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
            return Outcome.FAILED, str(broken) + _beside(context, neighbours, str(broken))
        except TimeoutError:
            text = context.explain(check.clauses, f"an end within {check.seconds:.0f} s", "it was still going on")
            return Outcome.FAILED, text + _beside(context, neighbours, text)
        except Exception as error:
            text = _raised(context, error)
            return Outcome.FAILED, text + _beside(context, neighbours, text)
        finally:
            await _clear(context, neighbours)
        return Outcome.PASSED, ""


def _raised(context: Context, error: Exception) -> str:
    """What a check that an error ended says: the error, and where it comes from outside the kit."""
    wrapped = "" if isinstance(error, NotistoreError) else " (which is no StoreError either, see [calls.errors])"
    text = context.explain(context.check.clauses, "no error", f"{type(error).__name__}: {error}{wrapped}")
    left_out = (str(Path(__file__).parent), str(Path(asyncio.__file__).parent), str(Path(futures.__file__).parent))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(left_out)]
    if error.__cause__ is not None:
        text += f"\nfrom:\n    {type(error.__cause__).__name__}: {error.__cause__}"
    raised = [f"    {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames[-_FRAMES:]]
    return "\n".join([text, "raised at:", *raised]) if raised else text


def _beside(context: Context, neighbours: Sequence[Notification], message: str) -> str:
    """What to think of where a check passed alone and failed beside neighbours."""
    if not neighbours:
        return ""
    told = {context.log.show(row.id): context.log.show(row.recipient) for row in neighbours}
    spoken_of = [f"    {id} is of {whose}" for id, whose in told.items() if re.search(rf"{id}\b(?! is of)", message)]
    return "\n".join(
        [
            "\nbeside neighbours:",
            "    Alone this passed. It failed inside a tenant, beside rows of others whose names are nearly the same.",
            "    Does every query compare id, type and tenant of the recipient, and exactly?",
            *sorted(spoken_of),
        ]
    )


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
