"""What a check works with: a store, fresh recipients, rows, and expectations that explain themselves when not met."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

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

from .clauses import CLAUSES
from .recorder import Log, Recorded
from .registry import Check
from .rows import differences
from .subject import Subject

__all__ = ["PROFILES", "AnyBoundStore", "AnyStore", "Broken", "Context", "NotOffered", "NotRun", "Profile"]

T = TypeVar("T")


class Broken(AssertionError):
    """A promise was not kept."""


class NotOffered(Exception):
    """The check does not apply: what it is about is optional and was not offered. The message says what."""


class NotRun(Exception):
    """The check applies, yet something it needs to run is missing. The message says what."""


class AnyStore(
    NotificationStore,
    SupportsInsertMany,
    SupportsUnreadCounts,
    SupportsPrune,
    SupportsErase,
    SupportsSchema,
    Protocol,
):
    """Every part of the contract; a check names the part it needs, and is not run where that is not offered."""


class AnyBoundStore(BoundStore, AnyStore, Protocol):
    """The same inside a transaction of the host."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How hard a run tries.

    Attributes:
        racers: how many calls race each other.
        rounds: how often a race is run.
        processes: how many other processes race with this one.
        examples: how many random histories the state machine plays.
        seconds: after how many it stops, so that a slow store's run ends too.
    """

    name: str
    racers: int
    rounds: int
    processes: int
    examples: int
    seconds: float


PROFILES: Final[Mapping[str, Profile]] = {
    "quick": Profile("quick", racers=12, rounds=2, processes=2, examples=30, seconds=15),
    "full": Profile("full", racers=40, rounds=10, processes=4, examples=1500, seconds=120),
}


class Context:
    """The surroundings of one check.

    Attributes:
        store: the store under test; its calls are recorded.
        peer: a second client on the same data where the subject has one, else the store again.
        subject: what the caller handed over.
        make_store: what gave it, for other processes to call too; None where they are not to.
        profile: how hard to try.
        seed: what random things are drawn from.
        recipients: every recipient made so far, whose rows are cleared away afterwards.
    """

    def __init__(
        self,
        check: Check,
        subject: Subject,
        profile: Profile,
        seed: int = 0,
        *,
        make_store: Callable[[], Any] | None = None,
        recipient_id: str = "user",
        tenant: str | None = None,
    ) -> None:
        self.check = check
        self.subject = subject
        self.make_store = make_store
        self.profile = profile
        self.seed = seed
        self.recipients: list[Recipient] = []
        self.log = Log()
        self.store: AnyStore = self._record(subject.store)
        self.peer: AnyStore = self.store if subject.peer is None else self._record(subject.peer, "peer.")
        self._token = secrets.token_hex(4)
        self._recipient_id = recipient_id
        self._tenant = None if tenant is None else f"{tenant} {self._token}"
        self._start = utc_now() - timedelta(hours=2)
        self._rows_made = 0
        self._named = 0

    def offers(self, part: Part) -> bool:
        return supports(self.subject.store, part)

    def bind(self, session: object) -> AnyBoundStore:
        """The store inside a transaction of the host, recorded too."""
        bound: AnyBoundStore = self._record(self.subject.bind(session), "bound.")
        return bound

    def _record(self, store: object, who: str = "") -> Any:
        return Recorded(store, self.log, who)

    # Fresh things

    def unique(self, stem: str) -> str:
        """A text no one has used before."""
        self._named += 1
        return f"{stem}-{self._named}-{self._token}"

    def recipient(self) -> Recipient:
        """A recipient no one has used before, in the tenant this run is in."""
        # The number is not last: a look-alike of the first, one digit longer, would be the tenth.
        return self.known(
            Recipient(f"{self._recipient_id} {len(self.recipients) + 1}-{self._token}", tenant=self._tenant)
        )

    def known(self, recipient: Recipient) -> Recipient:
        """Remember a recipient a check has made itself, so that its rows are cleared away afterwards."""
        self.recipients.append(recipient)
        return recipient

    def at(self, seconds: float) -> datetime:
        """An instant, in seconds after every time `row` gives."""
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
        """Make a row; without `at` each is a second newer than the one before."""
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
        """Make a row and insert it."""
        made = self.row(recipient, type, **row)
        await self.store.insert(made)
        return made

    async def stored_many(self, recipient: Recipient, n: int, type: str = "invoice.paid") -> list[Notification]:
        """Insert `n` rows, the last the newest."""
        return [await self.stored(recipient, type) for _ in range(n)]

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
            raise Broken(self.explain([clause], "no error from any of the calls made at once", got)) from errors[0]
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    # Expectations

    def equal(self, clause: str, got: object, expected: object, what: str = "") -> None:
        """`got` is `expected`, which is not a row."""
        self._require_cited(clause)
        if isinstance(got, bool) or got != expected:  # True is not a count
            raise self._broken(clause, expected, got, what)

    def is_row(self, clause: str, got: Notification | None, expected: Notification | None, what: str = "") -> None:
        """`got` equals `expected` field by field, JSON types and time zones too."""
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
        if [row.id for row in got] != [row.id for row in expected]:
            self.log.lines()  # so that rows are numbered in the order in which they were spoken of
            known = {row.id for row in expected}
            others = {row.id: row.recipient for row in got if row.id not in known}
            whose = "".join(f"\n    {self.log.show(id)} is of {self.log.show(who)}" for id, who in others.items())
            told = self.log.show([row.id for row in got]) + whose
            raise Broken(self.explain([clause], self.log.show([row.id for row in expected]), told, what))
        for one, other in zip(got, expected, strict=True):
            self.is_row(clause, one, other, what)

    async def unchanged(self, clause: str, *rows: Notification) -> None:
        """Each row is there for its recipient as it is given here."""
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
        raise Broken(self.explain([clause], f"{error.__name__} raised", self.log.show(answer)))

    def _require_cited(self, clause: str) -> None:
        if clause not in self.check.clauses:
            raise LookupError(
                f"the check {self.check.id!r} expects {clause!r}, which is not among the clauses it cites"
            )

    def _broken(self, clause: str, expected: object, got: object, what: str = "") -> Broken:
        self.log.lines()  # the same
        return Broken(self.explain([clause], self.log.show(expected), self.log.show(got), what))

    def explain(
        self, clauses: Sequence[str], expected: str, got: str, what: str = "", *, done: Sequence[str] = ()
    ) -> str:
        """What was done (by default the calls in the log), what is promised, what came back."""
        calls = self.log.calls
        what = what or (f"from {calls[-1].name}" if calls else "")
        lines = [f"{self.check.id}: {self.check.title}"]
        lines += ["done:", *(f"    {line}" for line in done or self.log.lines() or ["(no call yet)"])]
        lines += ["promised:", *(f"    [{clause}] {CLAUSES.get(clause, '')}" for clause in clauses)]
        lines += [f"expected{' (' + what + ')' if what else ''}:", f"    {expected}", "came back:", f"    {got}"]
        lines += ["look at:", *(f"    {place}" for place in self._places(clauses))]
        return "\n".join(lines)

    def _places(self, clauses: Sequence[str]) -> Iterator[str]:
        """Where the store's methods are that the promise and the last call are about, and where the check is."""
        names = [clause.partition(".")[0].replace("-", "_") for clause in clauses]
        if any(clause.startswith("rows.") for clause in clauses):
            names += [call.name for call in self.log.calls if call.name in ("insert", "upsert", "insert_many")][-1:]
        names += [call.name for call in self.log.calls[-1:]]
        store = self.subject.plain
        for name in dict.fromkeys(names):
            if callable(getattr(store, name, None)):
                yield f"{type(store).__name__}.{name}{_source(getattr(store, name))}"
        yield f"the check itself, {self.check.body.__name__}{_source(self.check.body)}"


def _source(function: object) -> str:
    """Where a function is written, as `, file:line`; empty where that is not known."""
    try:
        written = inspect.unwrap(function)  # type: ignore[arg-type]
        file, line = inspect.getsourcefile(written), inspect.getsourcelines(written)[1]
    except (TypeError, OSError, ValueError):
        return ""
    return f", {file}:{line}"
