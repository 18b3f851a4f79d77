"""Stepping: to run what a waiting task would do next, without waking it.

To wake a task takes a future, a handle and a turn of the event loop; then all its frames go on, and come back to wait
again. For an event to thousands of streams that is most of the cost, because the write itself is one call that hardly
ever has to wait. So whoever has something for such a task to write runs the write itself: from a callback of the event
loop, and *in the task's name*. The task is asyncio's current one meanwhile, by the functions that asyncio offers to
tasks of another make (its documentation, "Extending"), and the context variables are the task's own.

- A write that does not have to wait is done with, and the task goes on waiting for the next.
- A write that has to wait is handed to its task half run. The task wakes and goes on with it as if it had begun it, so
  the timeouts, cancel scopes and context variables of whatever is around the write begin and end in one task.
- A write that fails fails in its task.

Whoever published what is written runs in a task of its own at another time: nothing that happens here can reach it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any, Final, TypeAlias

POSSIBLE: Final = hasattr(asyncio, "_enter_task") and hasattr(asyncio, "_leave_task")

Writing: TypeAlias = Coroutine[Any, Any, object]
Write: TypeAlias = Callable[[bytes], Writing]
"""A coroutine function: nothing of it runs before it is awaited."""


class Stepper:
    """Writes in the name of the task that makes it, while that waits in `wait`.

    Args:
        write: writes one item.
        context: the one that this task was created with.
    """

    __slots__ = ("_begun", "_context", "_loop", "_task", "_write")

    def __init__(self, write: Write, context: Context) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._write = write
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._task = task
        self._begun: tuple[Writing, Any] | BaseException | None = None

    def step(self, data: bytes) -> bool:
        """Write this; False if the task has to be woken to go on with it.

        Only while the task waits, and from a callback of the event loop, where no task is running.
        """
        writing = self._write(data)
        try:
            asyncio._enter_task(self._loop, self._task)
        except RuntimeError:  # in a loop that runs within a task, as some make it, no other can be entered
            self._begun = writing, None
            return False
        try:
            waits_for = self._context.run(writing.send, None)
        except StopIteration:
            return True
        except BaseException as error:
            self._begun = error
        else:
            self._begun = writing, waits_for
        finally:
            asyncio._leave_task(self._loop, self._task)
        return False

    @coroutine
    def wait(self, woken: asyncio.Future[None]) -> Generator[Any, Any, None]:
        """Wait for this, then go on with what was begun meanwhile, if the task was woken for that."""
        cancelled: BaseException | None = None
        try:
            yield from woken
        except BaseException as error:
            cancelled = error
        begun, self._begun = self._begun, None
        if isinstance(begun, tuple):
            yield from _go_on(*begun, cancelled)
        elif begun is not None:
            raise begun
        elif cancelled is not None:
            raise cancelled


def _go_on(writing: Writing, waits_for: Any, cancelled: BaseException | None) -> Generator[Any, Any, None]:
    """What `await` does, from where the first wait has begun; `cancelled` is what came before it could be waited.

    A coroutine that has not begun at all waits for None, which is a turn of the event loop.
    """
    try:
        # Cancelling a task cancels what it waits for, if it can, and it hears of it from that.
        if cancelled is not None and not (isinstance(waits_for, asyncio.Future) and waits_for.cancel()):
            waits_for = writing.throw(cancelled)
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                waits_for = writing.throw(error)
            else:
                waits_for = writing.send(sent)
    except StopIteration:
        pass  # it has been written
