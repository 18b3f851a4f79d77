"""The context of a check: a store, new recipients and rows, and assertions with messages."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from notistore.errors import NotistoreError, Unsupported
from notistore.model import Actor, Notification, Recipient, utc_now
from notistore.store import (
    BoundStore,
    NotificationStore,
    Part,
    SupportsErase,
    SupportsInsertMany,
    SupportsPrune,
    SupportsSchema,
    SupportsUnreadCounts,
    supports,
)

from ..clauses import CLAUSES
from ..registry import Check
from ..running.exceptions import ContractViolation
from ..running.explain import explain
from ..running.profiles import Profile
from .call_log import Log, Recorded
from .implementation import StoreImplementation
from .rows import differences

__all__ = ["AnyBoundStore", "AnyStore", "StoreContext"]

T = TypeVar("T")


class AnyStore(
    NotificationStore,
    SupportsInsertMany,
    SupportsUnreadCounts,
    SupportsPrune,
    SupportsErase,
    SupportsSchema,
    Protocol,
):
    """The parts of the contract; a check names the part that it needs, and is not run if that is not offered."""


class AnyBoundStore(BoundStore, AnyStore, Protocol):
    """The same inside a transaction of the host."""


class StoreContext:
    """The surroundings of one check.

    Attributes:
        store: the store under test; its calls are recorded.
        peer: a second client on the same data where the implementation has one, else the store again.
        implementation: what the caller handed over.
        make_store: what gave it, for other processes to call too; None where they are not to.
        profile: how hard to try.
        seed: what random things are drawn from.
        recipients: every recipient made so far, whose rows are cleared away afterwards.
    """

    def __init__(
        self,
        check: Check,
        implementation: StoreImplementation,
        profile: Profile,
        seed: int = 0,
        *,
        make_store: Callable[[], Any] | None = None,
        recipient_id: str = "user",
        tenant: str | None = None,
    ) -> None:
        self.check = check
        self.implementation = implementation
        self.make_store = make_store
        self.profile = profile
        self.seed = seed
        self.recipients: list[Recipient] = []
        self.log = Log()
        self.store: AnyStore = self._record(implementation.store)
        self.peer: AnyStore = self.store if implementation.peer is None else self._record(implementation.peer, "peer.")
        self._token = secrets.token_hex(4)
        self._recipient_id = recipient_id
        self._tenant = None if tenant is None else f"{tenant} {self._token}"
        self._start = utc_now() - timedelta(hours=2)
        self._rows_made = 0
        self._named = 0

    def offers(self, part: Part) -> bool:
        return supports(self.implementation.store, part)

    def bind(self, session: object) -> AnyBoundStore:
        """The store inside a transaction of the host, with its calls logged."""
        bound: AnyBoundStore = self._record(self.implementation.bind(session), "bound.")
        return bound

    def _record(self, store: object, who: str = "") -> Any:
        return Recorded(store, self.log, who)

    # Fresh things

    def unique(self, stem: str) -> str:
        """A unique text."""
        self._named += 1
        return f"{stem}-{self._named}-{self._token}"

    def recipient(self) -> Recipient:
        """A new recipient, in the tenant of this run."""
        # The number is not last: an id with the first as prefix, would be the tenth.
        return self.known(
            Recipient(f"{self._recipient_id} {len(self.recipients) + 1}-{self._token}", tenant=self._tenant)
        )

    def known(self, recipient: Recipient) -> Recipient:
        """Register a recipient that a check has created itself, so that its rows are deleted afterwards."""
        self.recipients.append(recipient)
        return recipient

    def at(self, seconds: float) -> datetime:
        """A time, in seconds after every time that `row` uses."""
        return self._start + timedelta(hours=1, milliseconds=round(seconds * 1000))

    def row(
        self,
        recipient: Recipient,
        type: str = "invoice.paid",
        data: Mapping[str, object] | None = None,
        *,
        key: str | None = None,
        actor: Actor | None = None,
        trace_id: str | None = None,
        at: datetime | None = None,
    ) -> Notification:
        """Create a row; without `at` each is a second newer than the previous one."""
        self._rows_made += 1
        return Notification.new(
            recipient,
            type,
            {"made": self._rows_made} if data is None else data,
            key=key,
            actor=actor,
            trace_id=trace_id,
            at=at or self._start + timedelta(seconds=self._rows_made),
        )

    async def stored(self, recipient: Recipient, type: str = "invoice.paid", **row: Any) -> Notification:
        """Create a row and insert it."""
        made = self.row(recipient, type, **row)
        await self.store.insert(made)
        return made

    async def stored_many(self, recipient: Recipient, n: int, type: str = "invoice.paid") -> list[Notification]:
        """Insert `n` rows, the last the newest."""
        return [await self.stored(recipient, type) for _ in range(n)]

    async def insert_all(self, rows: Sequence[Notification]) -> None:
        """Insert rows in the fastest way that the store offers, with at most 20 concurrent calls."""
        if self.offers("insert_many"):
            await self.store.insert_many(rows)
            return
        for start in range(0, len(rows), 20):
            await asyncio.gather(*map(self.store.insert, rows[start : start + 20]))

    # Doing things at once

    async def together(self, clause: str, calls: Iterable[Awaitable[T]]) -> list[T]:
        """Run calls concurrently; none may raise."""
        answers = await asyncio.gather(*calls, return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        for error in errors:
            if isinstance(error, Unsupported):
                raise error
        if errors:
            got = f"{len(errors)} of {len(answers)} raised, the first {self.log.show(errors[0])}"
            raise ContractViolation(
                self.explain([clause], "no error from any of the calls made at once", got)
            ) from errors[0]
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    # Expectations

    def equal(self, clause: str, got: object, expected: object, what: str = "") -> None:
        """`got` is `expected`, which is not a row."""
        self._require_cited(clause)
        # Neither True nor Decimal(1) is a count.
        if got != expected or (isinstance(expected, int) and type(got) is not type(expected)):
            raise self._broken(clause, expected, got, what)

    def is_row(self, clause: str, got: Notification | None, expected: Notification | None, what: str = "") -> None:
        """`got` equals `expected` field by field, including JSON types and time zones."""
        self._require_cited(clause)
        if got is None or expected is None:
            if got is not expected:
                raise self._broken(clause, expected, got, what)
        elif differing := differences(got, expected):
            raise self._broken(
                clause,
                {name: getattr(expected, name) for name in differing},
                {name: getattr(got, name) for name in differing},
                f"{what} {self.log.show(expected)}: {', '.join(differing)}".strip(),
            )

    def are_rows(
        self, clause: str, got: Sequence[Notification], expected: Sequence[Notification], what: str = ""
    ) -> None:
        """`got` holds the rows of `expected`, in that order and equal."""
        self._require_cited(clause)
        if [str(row.id) for row in got] != [row.id for row in expected]:  # an id of another type is a row that differs
            self.log.lines()  # so that rows are numbered in the order in which they were spoken of
            known = {row.id for row in expected}
            others = {row.id: row.recipient for row in got if row.id not in known}
            whose = "".join(f"\n    {self.log.show(id)} is of {self.log.show(who)}" for id, who in others.items())
            returned = self.log.show([row.id for row in got]) + whose
            raise ContractViolation(self.explain([clause], self.log.show([row.id for row in expected]), returned, what))
        for one, other in zip(got, expected, strict=True):
            self.is_row(clause, one, other, what)

    async def unchanged(self, clause: str, *rows: Notification) -> None:
        """Each row is stored for its recipient exactly as given here."""
        for row in rows:
            self.is_row(clause, await self.store.get(row.recipient, row.id), row, "afterwards")

    async def raises(self, clause: str, error: type[NotistoreError], call: Awaitable[object]) -> NotistoreError:
        """The call raises `error`, which is returned."""
        self._require_cited(clause)
        try:
            answer: object = await call
        except error as raised:
            return raised
        except Unsupported:
            raise
        except Exception as raised:
            answer = raised
        raise ContractViolation(self.explain([clause], f"{error.__name__} raised", self.log.show(answer)))

    def _require_cited(self, clause: str) -> None:
        if clause not in self.check.clauses:
            raise LookupError(
                f"the check {self.check.id!r} expects {clause!r}, which is not among the clauses it cites"
            )

    def _broken(self, clause: str, expected: object, got: object, what: str = "") -> ContractViolation:
        self.log.lines()  # the same
        wanted, came = self.log.show(expected), self.log.show(got)
        if wanted == came or _as_text(expected) == _as_text(got):
            if (types := _types(expected)) != _types(got):
                wanted, came = f"{wanted}, which is {types}", f"{came}, which is {_types(got)}"
            else:
                wanted, came = _from_where_they_differ(repr(expected), repr(got))
        return ContractViolation(self.explain([clause], wanted, came, what))

    def explain(
        self, clauses: Sequence[str], expected: str, got: str, what: str = "", *, done: Sequence[str] = ()
    ) -> str:
        """The message: what was done (by default the calls in the log), what is promised, what was returned."""
        calls = self.log.calls
        what = what or (f"from {calls[-1].name}" if calls else "")
        done = done or self.log.lines() or ["(no call yet)"]
        message = explain(self.check, done, CLAUSES, clauses, expected, got, what)
        return "\n".join([message, "look at:", *(f"    {place}" for place in self._places(clauses))])

    def _places(self, clauses: Sequence[str]) -> Iterator[str]:
        """The source locations of the check and of the store's methods that it is about."""
        names = [clause.partition(".")[0].replace("-", "_") for clause in clauses]
        if any(clause.startswith("rows.") for clause in clauses):
            names += [call.name for call in self.log.calls if call.name in ("insert", "upsert", "insert_many")][-1:]
        names += [call.name for call in self.log.calls[-1:]]
        store = self.implementation.plain
        for name in dict.fromkeys(names):
            if callable(getattr(store, name, None)):
                yield f"{type(store).__name__}.{name}{_source(getattr(store, name))}"
        yield f"the check itself, {self.check.body.__name__}{_source(self.check.body)}"


def _as_text(value: object) -> object:
    """A value as text, or a dict of those."""
    return {name: str(each) for name, each in value.items()} if isinstance(value, dict) else str(value)


def _types(value: object) -> str:
    """The type of a value, or of the values in a dict or a list, for values with equal text."""
    match value:
        case dict():
            return "{" + ", ".join(f"{name}: {_types(each)}" for name, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(dict.fromkeys(map(_types, value))) + "]"
        case _:
            return type(value).__qualname__


def _from_where_they_differ(one: str, other: str) -> tuple[str, str]:
    """The differing part of two long texts with a common beginning."""
    alike = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, alike - 20)
    wanted, came = (f"...{text[start : start + 60]}... (character {alike} of {len(text)})" for text in (one, other))
    return wanted, came


def _source(function: object) -> str:
    """Where a function is written, as `, file:line`; empty where that is not known."""
    try:
        written = inspect.unwrap(function)  # type: ignore[arg-type]
        file, line = inspect.getsourcefile(written), inspect.getsourcelines(written)[1]
    except (TypeError, OSError, ValueError):
        return ""
    return f", {file}:{line}"
