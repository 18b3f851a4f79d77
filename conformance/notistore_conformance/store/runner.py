"""Runs the checks of a store on one implementation, alone and with neighbours."""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent import futures
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from notistore.errors import NotistoreError, Unsupported
from notistore.model import Notification, Recipient
from notistore.store import supports

from ..registry import Check
from ..reports.report import Outcome
from ..running.exceptions import ContractViolation, NotOffered, NotRun, Waived
from ..running.runner import Runner
from .context import StoreContext
from .implementation import StoreImplementation, opened
from .neighbours import ALONE, CROWDED, Surroundings, check_neighbours, settle_neighbours

__all__ = ["StoreRunner"]

_CLEANUP_TIMEOUT: Final = 60.0  # seconds in which what a check stored is deleted
_FRAMES: Final = 5
_FEW: Final = 5.0  # of a store that hangs
_PAGE: Final = 1000
_MAX_TIMEOUTS: Final = 3  # checks that did not end, after which no further one is begun
_SLOWEST: Final = 0.1  # seconds that a call may take for the limits to be scaled with it


class StoreRunner(Runner[StoreImplementation]):
    """The checks of a store.

    Args:
        make_store: gives a context manager (or a generator) that yields the store or a `StoreImplementation`.
        surroundings: where each check is run.
        processes: whether other processes may call `make_store` too, where the implementation does not say.
        options: `Runner`'s own.
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
        self._pace: float | None = None
        self._hung = 0
        self._left: list[tuple[str, Sequence[Recipient], str]] = []  # check, its recipients, and why

    def _open(self) -> AbstractAsyncContextManager[StoreImplementation]:
        return opened(self._make_store)

    def _versions(self, implementation: StoreImplementation) -> tuple[str | None, str | None]:
        return implementation.distribution, implementation.backend

    @property
    def left(self) -> str:
        if not self._left:
            return ""
        checks = list(dict.fromkeys(id for id, _, _ in self._left))
        whose = list(dict.fromkeys(recipient for _, recipients, _ in self._left for recipient in recipients))
        return (
            f"Rows of up to {len(whose)} recipients were left in the store, by {_first_of(checks)}: deleting them "
            f"{self._left[0][2]}. They are of {_first_of(list(map(repr, whose)))}"
        )

    async def _attempt(self, check: Check, implementation: StoreImplementation) -> tuple[Outcome, str]:
        if check.part is not None and not supports(implementation.store, check.part):
            return Outcome.UNSUPPORTED, f"not offered: {check.part}"
        if self._hung >= _MAX_TIMEOUTS:
            return Outcome.NOT_RUN, f"{_MAX_TIMEOUTS} checks did not end in time, so the rest was not run"
        outcome, message = Outcome.PASSED, ""
        for surroundings in self._surroundings[:1] if check.once else self._surroundings:
            outcome, message = await asyncio.create_task(self._attempt_in(surroundings, check, implementation))
            if outcome is not Outcome.PASSED:
                break
        return outcome, message

    async def _measured_pace(self, implementation: StoreImplementation) -> float:
        """The factor for time limits: 1 for a store whose calls take up to 5 ms."""
        if self._pace is None:
            took = []
            try:
                for _ in range(5):
                    started = time.perf_counter()
                    async with asyncio.timeout(_SLOWEST):
                        await implementation.store.unread_count(Recipient("conformance", "notistore"))
                    took.append(time.perf_counter() - started)
            except TimeoutError:
                took = took or [_SLOWEST]
            except Exception:  # checks will tell
                took = [0.0]
            self._pace = max(1.0, min(took) / 0.005)
        return self._pace

    async def _attempt_in(
        self, where: Surroundings, check: Check, implementation: StoreImplementation
    ) -> tuple[Outcome, str]:
        context = StoreContext(
            check,
            implementation,
            self.profile,
            self.seed,
            make_store=self._make_store if self._processes or implementation.processes else None,
            recipient_id=where.recipient_id,
            tenant=where.tenant,
        )
        neighbours: Sequence[Notification] = ()
        seconds = check.seconds * await self._measured_pace(implementation)
        try:
            async with asyncio.timeout(seconds):
                if where.crowded:
                    neighbours = await settle_neighbours(context)
                await check.body(context)
                await check_neighbours(context, neighbours)
        except NotOffered as reason:
            return Outcome.UNSUPPORTED, f"not offered: {reason}"
        except NotRun as reason:
            return Outcome.NOT_RUN, str(reason)
        except Waived as reason:
            return Outcome.WAIVED, str(reason)
        except Unsupported as error:
            return (Outcome.MISSING if check.part is None else Outcome.UNSUPPORTED), f"not offered: {error}"
        except ContractViolation as broken:
            return Outcome.FAILED, str(broken) + _beside(context, neighbours, str(broken))
        except TimeoutError:
            self._hung += 1
            text = context.explain(check.clauses, f"an end within {seconds:.0f} s", "it was still going on")
            return Outcome.FAILED, text + _beside(context, neighbours, text)
        except Exception as error:
            text = _raised(context, error)
            return Outcome.FAILED, text + _beside(context, neighbours, text)
        finally:
            clearing = asyncio.ensure_future(self._clear(context, neighbours))
            try:
                await asyncio.shield(clearing)
            except asyncio.CancelledError:
                await asyncio.wait([clearing])
                raise
        return Outcome.PASSED, ""

    async def _clear(self, context: StoreContext, neighbours: Sequence[Notification]) -> None:
        """Delete the rows of a check, or record that they are left."""
        if why := await _deleted(context, neighbours, _CLEANUP_TIMEOUT if self._hung == 0 else _FEW):
            owners = (*context.recipients, *(row.recipient for row in neighbours))
            self._left.append((context.check.id, owners, why))


def _raised(context: StoreContext, error: Exception) -> str:
    """The message of a check that ended with an error: the error, and where it was raised outside the kit."""
    wrapped = "" if isinstance(error, NotistoreError) else " (which is no StoreError either, see [calls.errors])"
    text = context.explain(context.check.clauses, "no error", f"{type(error).__name__}: {error}{wrapped}")
    left_out = (str(Path(__file__).parents[1]), str(Path(asyncio.__file__).parent), str(Path(futures.__file__).parent))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(left_out)]
    if error.__cause__ is not None:
        text += f"\nfrom:\n    {type(error.__cause__).__name__}: {error.__cause__}"
    raised = [f"    {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames[-_FRAMES:]]
    return "\n".join([text, "raised at:", *raised]) if raised else text


def _beside(context: StoreContext, neighbours: Sequence[Notification], message: str) -> str:
    """The hint for a check that passed alone and failed with neighbours."""
    if not neighbours:
        return ""
    owners = {context.log.show(row.id): context.log.show(row.recipient) for row in neighbours}
    spoken_of = [f"    {id} is of {whose}" for id, whose in owners.items() if re.search(rf"{id}\b(?! is of)", message)]
    return "\n".join(
        [
            "\nbeside neighbours:",
            "    Alone this passed. It failed inside a tenant, beside rows of others whose names are nearly the same.",
            "    Does every query compare id, type and tenant of the recipient, and exactly?",
            *sorted(spoken_of),
        ]
    )


def _first_of(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


async def _deleted(context: StoreContext, neighbours: Sequence[Notification], seconds: float) -> str:
    """Delete the rows of a check. Returns why that was not possible, or an empty text."""
    store = context.implementation.store
    try:
        async with asyncio.timeout(seconds):
            for row in neighbours:
                await store.delete(row.recipient, row.id)
            for recipient in context.recipients:
                while rows := await store.page(recipient, limit=_PAGE):
                    if not await store.delete(recipient, *(row.id for row in rows)):
                        return "had no effect"
    except TimeoutError:
        return f"took more than {seconds:.0f} s"
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"
    return ""
