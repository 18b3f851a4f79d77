"""Runs the checks of a store on one subject, alone and beside neighbours."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
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
            return Outcome.FAILED, _placed(str(broken), where)
        except TimeoutError:
            text = context.explain(check.clauses, f"an end within {check.seconds:.0f} s", "it was still going on")
            return Outcome.FAILED, _placed(text, where)
        except Exception as error:
            wrapped = (
                "" if isinstance(error, NotistoreError) else " (which is no StoreError either, see [calls.errors])"
            )
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
