"""Runs the checks of a backplane."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from ..registry import Check
from ..reports.report import Outcome
from ..running.exceptions import ContractViolation, NotOffered
from ..running.factories import distribution_of
from ..running.runner import Runner
from .context import BackplaneContext
from .implementation import BackplaneImplementation, made

__all__ = ["BackplaneRunner"]


class BackplaneRunner(Runner[BackplaneImplementation]):
    """The checks of a backplane.

    Args:
        make_backplane: gives a new backplane, or a `BackplaneImplementation`, each time it is called, or a context
            manager or generator that yields one. It is called for every node that a check works with.
        options: `Runner`'s own.
    """

    kind = "backplane"

    def __init__(self, make_backplane: Callable[[], Any], **options: Any) -> None:
        super().__init__(**options)
        self._make_backplane = make_backplane

    def _open(self) -> AbstractAsyncContextManager[BackplaneImplementation]:
        return made(self._make_backplane)

    def _versions(self, implementation: BackplaneImplementation) -> tuple[str | None, str | None]:
        return distribution_of(implementation.backplane), implementation.backend

    async def _attempt(self, check: Check, implementation: BackplaneImplementation) -> tuple[Outcome, str]:
        context = BackplaneContext(check, self._make_backplane, implementation, self.profile)
        try:
            async with asyncio.timeout(check.seconds):
                await check.body(context)
            context.settle()
        except NotOffered as reason:
            return Outcome.UNSUPPORTED, f"not offered: {reason}"
        except ContractViolation as broken:
            return Outcome.FAILED, str(broken)
        except TimeoutError:
            return Outcome.FAILED, context.explain(
                check.clauses, f"an end within {check.seconds:.0f} s", "it was still going on"
            )
        except ExceptionGroup as group:
            broken_ones, _ = group.split(ContractViolation)
            if broken_ones is not None:
                return Outcome.FAILED, str(_first(broken_ones))
            return Outcome.FAILED, _raised(context, group)
        except Exception as error:
            return Outcome.FAILED, _raised(context, error)
        return Outcome.PASSED, ""


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _raised(context: BackplaneContext, error: Exception) -> str:
    text = context.explain(context.check.clauses, "no error", f"{type(error).__name__}: {error}")
    return f"{text}\n{''.join(traceback.format_exception(error))}"
