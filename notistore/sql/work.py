"""`Work`: runs a call on a blocking or an asynchronous connection.

A call of the contract does no I/O, so that it is written once for blocking and asynchronous drivers. It is a function
that returns a `Query`, one statement, or `Steps`, a generator.

The generator yields a `Statement` with its parameters and is sent the result: rows, or the number of changed rows. An
error of the statement is raised at the `yield`. The value that the generator returns is the result of the call. Where a
coroutine has `rows = await connection.fetch(sql, parameters)`, a call has `rows = yield statement, parameters`.
The first value that it yields may be a `Block` instead: its statements need a transaction or a savepoint.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from enum import Flag, auto
from typing import Any, Generic, TypeAlias, TypeVar

from .connection import AsyncConnection, Connection
from .statements import Statement, Statements

__all__ = ["Block", "Call", "Query", "Step", "Steps", "Work"]

T = TypeVar("T")


class Block(Flag):
    """What a call's statements have to run in; without a Block they run in autocommit mode."""

    TRANSACTION = auto()
    """A transaction, unless the call joins one: the statements take effect together or not at all."""
    SAVEPOINT = auto()
    """A savepoint, if the call joins a transaction, which continues if one of the statements fails."""


Step: TypeAlias = tuple[Statement, Sequence[Any]] | Block
"""What a generator yields: a statement with its parameters; or a Block, before the first statement."""

Steps: TypeAlias = Generator[Step, Any, T]
"""A running call: yields steps, is sent rows or a number, returns the call's result."""

Query: TypeAlias = tuple[Statement, Sequence[Any], Callable[[Any], T]]
"""A call of one statement: the statement, its parameters, and a function from its rows, or the number of changed rows,
to the call's result. It takes a third of the time of a generator."""

Call: TypeAlias = Query[T] | Steps[T]
"""What the functions of calls.py return."""


class Work(Generic[T]):
    """One attempt at a call of a store. A host calls `begin`, then `run` or `run_async`.

    Attributes:
        writes: whether the call may change rows.
        joined: whether it is part of a transaction of the application.
        sent: whether a statement was sent.
        uncommitted: whether it has its own transaction, which is not committed yet.
    """

    joined = False
    sent = False
    uncommitted = False
    _query: Query[T] | None = None
    _next: Any  # a Step, or None at the end
    _result: T
    _steps: Steps[T]

    def __init__(
        self, call: Callable[..., Call[T]], args: tuple[Any, ...], kwargs: dict[str, Any], writes: bool
    ) -> None:
        self._call = call
        self._args = args
        self._kwargs = kwargs
        self.writes = writes

    def next_attempt(self) -> Work[T]:
        """Another attempt at the same call."""
        return Work(self._call, self._args, self._kwargs, self.writes)

    def check_arguments(self) -> None:
        """Raises TypeError if the call does not take its arguments."""
        inspect.signature(self._call).bind(None, *self._args, **self._kwargs)

    def begin(self, statements: Statements, *, joined: bool = False, autocommit: bool = True) -> bool:
        """Start the call; no statement is sent yet. Returns whether `run` must be called inside a block.

        Args:
            statements: for the table and the connection's dialect.
            joined: whether the connection is in a transaction of the application; the block is then a savepoint, else a
                transaction.
            autocommit: whether a statement outside a block commits by itself. If not, every call that writes needs a
                block, and a call that only reads may be rolled back.
        """
        if joined:
            self.joined = True
        if self._kwargs:
            call = self._call(statements, *self._args, **self._kwargs)
        else:  # several times faster than with an empty `**kwargs`
            call = self._call(statements, *self._args)
        if isinstance(call, tuple):
            self._query = call
            if autocommit or joined:
                return False
            self.uncommitted = self.writes
            return self.writes
        steps = self._steps = call
        try:
            step = next(steps)
            if type(step) is not Block:
                self._next = step
                if autocommit or joined:
                    return False
                self.uncommitted = self.writes
                return self.writes
            self._next = next(steps)
        except StopIteration as end:
            self._next, self._result = None, end.value
            return False
        if joined:
            return Block.SAVEPOINT in step
        self.uncommitted = Block.TRANSACTION in step or (self.writes and not autocommit)
        return self.uncommitted

    def run(self, connection: Connection) -> T:
        """Execute the statements on a blocking connection. Returns the call's result."""
        if self._query is not None:
            statement, parameters, read = self._query
            self.sent = True
            fetches = statement.fetches
            answer: Any = (connection.fetch if fetches else connection.change)(statement.sql, parameters)
            result = read(answer)
            self.uncommitted = False
            return result
        step, steps = self._next, self._steps
        if step is None:
            return self._result
        self.sent = True
        try:
            while True:
                statement, parameters = step
                try:
                    if statement.fetches:
                        answer = connection.fetch(statement.sql, parameters)
                    else:
                        answer = connection.change(statement.sql, parameters)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result = end.value
        self.uncommitted = False
        return result

    async def run_async(self, connection: AsyncConnection) -> T:
        """Execute the statements on an asynchronous connection. Returns the call's result."""
        if self._query is not None:
            statement, parameters, read = self._query
            self.sent = True
            fetches = statement.fetches
            answer: Any = await (connection.fetch if fetches else connection.change)(statement.sql, parameters)
            result = read(answer)
            self.uncommitted = False
            return result
        step, steps = self._next, self._steps
        if step is None:
            return self._result
        self.sent = True
        try:
            while True:
                statement, parameters = step
                try:
                    if statement.fetches:
                        answer = await connection.fetch(statement.sql, parameters)
                    else:
                        answer = await connection.change(statement.sql, parameters)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result = end.value
        self.uncommitted = False
        return result
