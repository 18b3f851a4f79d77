"""Random histories, played on the store under test and on a `MemoryStore`, which is a plain dict, side by side.

Hypothesis writes the histories and shrinks the ones that part. It is synchronous, so it runs in a worker thread and
hands each call to the kit's event loop. `prune` is left out: it reaches rows that are not the kit's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from notistore.errors import NotistoreError, Unsupported
from notistore.ids import new_id
from notistore.memory import MemoryStore
from notistore.model import Notification, Recipient
from notistore.store import Part, supports

from ...clauses import CLAUSES
from ...running.exceptions import ContractViolation, NotRun
from ..context import StoreContext
from ..rows import differences
from .reproducer import reproducer

__all__ = ["play"]

_SHRINKING: Final = 10.0  # seconds in which a history that has parted is made shorter
_CALL_TIMEOUT: Final = 30.0  # seconds for one call, as long as any other check has
_STEPS: Final = 30


async def play(context: StoreContext) -> None:
    """Play as many histories as the profile asks for, or as there is time for.

    Raises:
        ContractViolation: with the shortest history that parted.
    """
    game = _Game(context, asyncio.get_running_loop(), time.monotonic() + context.profile.seconds)
    rules = settings(
        max_examples=context.profile.examples,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    # The same seed, the same verdict.
    playing = asyncio.ensure_future(asyncio.to_thread(_play, game, seed(context.seed)(_player(game)), rules))
    try:
        await asyncio.shield(playing)
    except asyncio.CancelledError:
        game.until = 0.0  # its next call is its last, for a thread cannot be cancelled
        await asyncio.wait([playing])
        raise
    if game.parted:
        raise ContractViolation(min(game.parted)[1])
    if isinstance(game.raised, TimeoutError):
        expected = f"an answer within {_CALL_TIMEOUT:.0f} s"
        raise ContractViolation(context.explain(context.check.clauses, expected, "none"))
    if game.raised is not None:
        raise game.raised
    if not game.played:
        raise NotRun(f"not one random history could be played within {context.profile.seconds} s; allow more seconds")


def _play(game: _Game, player: type[_History], rules: settings) -> None:
    """Run the state machine. Its failure is taken from the machine, not from Hypothesis's report.

    It calls a store that answers differently each time flaky, and so it does a history that time has cut short.
    """
    try:
        run_state_machine_as_test(player, settings=rules)
    except BaseException:
        if not game.over and not game.parted and game.raised is None:
            raise


class _TimeIsUp(BaseException):
    """Ends the histories at once, for Hypothesis takes no Exception for an end."""


def _player(game: _Game) -> type[_History]:
    """Hypothesis wants a class it can make without arguments."""

    class History(_History):
        def __init__(self) -> None:
            super().__init__(game)

    return History


@dataclass(slots=True)
class _Game:
    context: StoreContext
    loop: asyncio.AbstractEventLoop
    until: float
    parted: list[tuple[int, str]] = field(default_factory=list)
    raised: Exception | None = None
    played: int = 0
    over: bool = False

    def same(self, model: MemoryStore, name: str, *args: Any, **kwargs: Any) -> None:
        """Make one call on both; they answer alike, or the history ends here."""
        if time.monotonic() > self.until:
            self.over = True
            raise _TimeIsUp
        asyncio.run_coroutine_threadsafe(self._same(model, name, args, kwargs), self.loop).result()

    async def _same(self, model: MemoryStore, name: str, args: Any, kwargs: Any) -> None:
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                got = await _answer(self.context.store, name, args, kwargs)
        except Exception as error:
            if self.raised is None:
                self._shrink()
            self.raised = error
            raise
        if got is Unsupported:  # a gap that other checks report
            return
        expected = await _answer(model, name, args, kwargs)
        if not _alike(got, expected):
            clauses = [id for id in CLAUSES if id.startswith(name.replace("_", "-") + ".")]
            log = self.context.log
            differing, parted = map(log.show, _parted(expected, got))
            message = self.context.explain(clauses, differing, parted, f"the model's {name}")
            message += f"\nas a test (seed {self.context.seed}):\n{reproducer(log.calls, expected)}"
            if not self.parted:
                self._shrink()
            self.parted.append((len(log.calls), message))
            raise ContractViolation(message)

    def _shrink(self) -> None:
        """From here on no more than a shorter history is looked for."""
        self.until = min(self.until, time.monotonic() + _SHRINKING)


async def _answer(store: object, name: str, args: Any, kwargs: Any) -> object:
    try:
        return await getattr(store, name)(*args, **kwargs)
    except NotistoreError as error:
        return type(error)


def _parted(expected: object, got: object) -> tuple[object, object]:
    """The part of a result that is compared: of two rows the fields, of an error its name."""
    if isinstance(expected, Notification) and isinstance(got, Notification):
        names = differences(got, expected)
        return {name: getattr(expected, name) for name in names}, {name: getattr(got, name) for name in names}
    return _named(expected), _named(got)


def _named(answer: object) -> object:
    return f"{answer.__name__} raised" if isinstance(answer, type) else answer


def _alike(got: object, expected: object) -> bool:
    match got, expected:
        case Notification(), Notification():
            return not differences(got, expected)
        case Mapping(), Mapping():
            return dict(got) == dict(expected)
        case Sequence(), Sequence():
            return len(got) == len(expected) and all(map(_alike, got, expected))
        case _:
            return got == expected


_who = st.integers(0, 2)
_tick = st.integers(0, 1)
_type = st.sampled_from(["a", "A", "b"])
_types = st.none() | st.lists(_type, max_size=2)
_pick = st.integers(0, 9)
_picks = st.lists(_pick, min_size=1, max_size=3)
_maybe = st.none() | _pick
_asker = st.sampled_from([None, None, None, 0, 1, 2])  # None: the recipient of the first row that is picked


class _History(RuleBasedStateMachine):
    def __init__(self, game: _Game) -> None:
        super().__init__()
        self.game = game
        self.model = MemoryStore()
        self.seconds = 0
        context = game.context
        context.log.calls.clear()
        me = context.recipient()
        self.recipients = [me, context.known(replace(me, id=me.id.upper())), context.known(replace(me, tenant="T"))]
        self.rows: list[Notification] = []

    def _now(self, tick: int) -> datetime:
        """A clock that stands still between some steps, so that rows share an instant."""
        self.seconds += tick
        return self.game.context.at(self.seconds)

    def _row(self, who: int, type: str, tick: int, key: str | None = None) -> Notification:
        row = self.game.context.row(self.recipients[who], type, key=key, at=self._now(tick))
        self.rows.append(row)
        return row

    def _picked(self, asker: int | None, picks: Sequence[int]) -> tuple[Recipient, *tuple[str, ...]]:
        """A recipient, and ids of anyone's rows; now and then an unknown one."""
        ids = [self.rows[pick % len(self.rows)].id if pick and self.rows else new_id() for pick in picks]
        if asker is None and self.rows:
            return self.rows[picks[0] % len(self.rows)].recipient, *ids
        return self.recipients[asker or 0], *ids

    def _same(self, name: str, *args: object, **kwargs: object) -> None:
        self.game.same(self.model, name, *args, **kwargs)

    @rule(who=_who, type=_type, tick=_tick)
    def insert(self, who: int, type: str, tick: int) -> None:
        self._same("insert", self._row(who, type, tick))
        self._same("insert", self.rows[self.seconds % len(self.rows)])

    @rule(who=_who, type=_type, tick=_tick, renotify=st.booleans())
    def upsert(self, who: int, type: str, tick: int, renotify: bool) -> None:
        self._same("upsert", self._row(who, type, tick, key="export"), renotify=renotify)

    @rule(who=_who, times=st.integers(2, 5), renotify=st.booleans())
    def evolve(self, who: int, times: int, renotify: bool) -> None:
        """One key again and again, as a progress bar's: what goes wrong only at later versions."""
        for _ in range(times):
            self._same("upsert", self._row(who, "a", 1, key="export"), renotify=renotify)

    @rule(asker=_asker, picks=_picks, tick=_tick)
    def mark_read(self, asker: int | None, picks: Sequence[int], tick: int) -> None:
        self._same("mark_read", *self._picked(asker, picks), at=self._now(tick))

    @rule(asker=_asker, picks=_picks)
    def mark_unread(self, asker: int | None, picks: Sequence[int]) -> None:
        self._same("mark_unread", *self._picked(asker, picks))

    @rule(who=_who, types=_types, seen=_maybe, tick=_tick)
    def mark_all_read(self, who: int, types: Sequence[str] | None, seen: int | None, tick: int) -> None:
        until = None if seen is None else self.game.context.at(seen)
        self._same("mark_all_read", self.recipients[who], types=types, seen=until, at=self._now(tick))

    @rule(asker=_asker, pick=_pick)
    def delete(self, asker: int | None, pick: int) -> None:
        self._same("delete", *self._picked(asker, [pick]))

    @rule(
        who=_who,
        unread_only=st.booleans(),
        types=_types,
        before=_maybe,
        offset=st.integers(0, 3),
        limit=st.integers(0, 9),
    )
    def page(
        self,
        who: int,
        unread_only: bool,
        types: Sequence[str] | None,
        before: int | None,
        offset: int,
        limit: int,
    ) -> None:
        cursor = self.rows[before % len(self.rows)].cursor if before is not None and self.rows else None
        self._same(
            "page",
            self.recipients[who],
            unread_only=unread_only,
            types=types,
            before=cursor,
            offset=offset,
            limit=limit,
        )

    @rule(who=_who, types=_types, at_most=st.none() | st.integers(1, 4), pick=_pick)
    def look(self, who: int, types: Sequence[str] | None, at_most: int | None, pick: int) -> None:
        self._same("get", *self._picked(None, [pick]))
        self._same("count", self.recipients[who], types=types)
        self._same("unread_count", self.recipients[who], types=types, at_most=at_most)

    @rule(who=_who, other=_who, twice=st.booleans())
    def insert_many(self, who: int, other: int, twice: bool) -> None:
        if self._offers("insert_many"):
            rows = [self._row(who, "a", 0), self._row(other, "b", 1)]
            self._same("insert_many", [*rows, rows[0]] if twice else rows)

    @rule(types=_types, at_most=st.none() | st.integers(1, 4))
    def unread_counts(self, types: Sequence[str] | None, at_most: int | None) -> None:
        if self._offers("unread_counts"):
            self._same("unread_counts", self.recipients, types=types, at_most=at_most)

    @rule(who=_who, rarely=st.integers(0, 4))
    def erase(self, who: int, rarely: int) -> None:
        if rarely == 4 and self._offers("erase"):
            self._same("erase", self.recipients[who])

    def _offers(self, part: Part) -> bool:
        return supports(self.game.context.implementation.store, part)

    def teardown(self) -> None:
        if not self.game.parted and self.game.raised is None and not self.game.over:
            for recipient in self.recipients:
                self._same("page", recipient, limit=100)
            self.game.played += 1
