"""The log of calls on a store, which the message of a failed check contains."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from notistore.ids import is_id
from notistore.model import Actor, Cursor, Notification, Recipient

__all__ = ["Call", "Log", "Recorded"]

_LINES: Final = 16
_ALIKE: Final = 5  # calls in a row that are answered alike, of which some are left out
_WIDTH: Final = 160
_REASON: Final = 80
_PENDING: Final = object()
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(slots=True)
class Call:
    """One call, its result or exception, and its times in seconds of `time.monotonic`."""

    who: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    answer: Any = _PENDING
    began: float = field(default_factory=time.monotonic)
    ended: float = float("inf")


@dataclass(slots=True)
class Log:
    """The calls made so far, and short names (#1, #2) for the ids in them."""

    calls: list[Call] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """A line for each of the latest calls; rendered only if a check has failed.

        Calls that went on at once have the times at which they began and ended before them.
        """
        report: list[str] = []
        if self.calls:
            zero, at_once = self.calls[0].began, _overlapping(self.calls)
            lines = [(call, self._describe_call(call), self._answered(call)) for call in self.calls]
            for (who, name, answer), group in groupby(lines, lambda line: (line[0].who, line[0].name, line[2])):
                alike = [
                    f"{_span(call, zero) if id(call) in at_once else ''}{line} {answered}"
                    for call, line, answered in group
                ]
                left_out = len(alike) - _ALIKE + 1
                if left_out > 1:
                    alike[_ALIKE - 2 : -1] = [f"({left_out} more of {who}{name} {answer})"]
                report += alike
        if len(report) > _LINES:
            report = [f"({len(report) - _LINES} earlier lines)", *report[-_LINES:]]
        return report

    def show(self, value: object) -> str:
        """A value as text, truncated to a readable length."""
        shown = self._show(value)
        return shown if len(shown) <= _WIDTH else f"{shown[: _WIDTH - 40]} ... {shown[-35:]}"

    def _describe_call(self, call: Call) -> str:
        args = [self._show(arg) for arg in call.args]
        args += [f"{name}={self._show(value)}" for name, value in call.kwargs.items()]
        return self._cut(f"{call.who}{call.name}({', '.join(args)})")

    def _answered(self, call: Call) -> str:
        answer = call.answer
        if answer is _PENDING:
            return "was not answered"
        return self._cut(
            f"raised {self._show(answer)}" if isinstance(answer, BaseException) else f"-> {self._show(answer)}"
        )

    @staticmethod
    def _cut(text: str) -> str:
        return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."

    def _show(self, value: object) -> str:
        match value:
            case Notification():
                state = "unread" if value.read_at is None else "read"
                keyed = "" if value.key is None else f" key {_quote(value.key)}"
                id = self._name(value.id) if isinstance(value.id, str) else self._show(value.id)
                return f"<{id} {_quote(value.type)}{keyed} v{value.version} {state}>"
            case Recipient():
                shown = _quote(value.id) + (f" ({value.type})" if value.type != "user" else "")
                return shown if value.tenant is None else f"{shown} of tenant {_quote(value.tenant)}"
            case Actor():
                return f"Actor({_quote(value.id)}, {_quote(value.type)})"
            case Cursor():
                return f"Cursor({self._show(value.created_at)}, {self._name(value.id)})"
            case datetime():
                shown = value.isoformat(timespec="microseconds" if value.microsecond % 1000 else "milliseconds")
                return shown if value.tzinfo else f"{shown} (naive: no time zone)"
            case BaseException():
                reason = _ID.sub(lambda found: self._name(found[0]), " ".join(str(value).split()))
                reason = reason if len(reason) <= _REASON else f"{reason[:_REASON]}..."
                return f"{type(value).__name__}{reason and ': '}{reason}"
            case str():
                return self._name(value) if is_id(value) else _quote(value)
            case Mapping():
                return "{" + ", ".join(f"{self._show(k)}: {self._show(v)}" for k, v in list(value.items())[:20]) + "}"
            case Sequence():
                more = f", ... {len(value)} in all" if len(value) > 8 else ""
                return "[" + ", ".join(self._show(item) for item in value[:8]) + more + "]"
            case _:
                return repr(value)

    def _name(self, id: str) -> str:
        return self._names.setdefault(id, f"#{len(self._names) + 1}")


class Recorded:
    """A store whose calls are written to a log."""

    def __init__(self, store: Any, log: Log, who: str = "") -> None:
        self._store = store
        self._log = log
        self._who = who

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name == "after_commit":  # the one method of the contract that is not asynchronous
            self._log.calls.append(Call(self._who, name, (), {}, None))
            return method
        if not callable(method):  # how a wrapper says that it lacks a part
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            entry = Call(self._who, name, args, kwargs)
            self._log.calls.append(entry)
            try:
                entry.answer = await method(*args, **kwargs)
            except BaseException as error:
                entry.answer = error
                raise
            finally:
                entry.ended = time.monotonic()
            return entry.answer

        return call


def _overlapping(calls: Sequence[Call]) -> set[int]:
    """The calls that overlapped with another, by `id`, in the order of their start."""
    found: set[int] = set()
    latest = calls[0]
    for call in calls[1:]:
        if call.began < latest.ended:
            found |= {id(latest), id(call)}
        if call.ended > latest.ended:
            latest = call
    return found


def _span(call: Call, zero: float) -> str:
    """The start and end of a call, in milliseconds."""
    ended = "" if call.ended == float("inf") else f"{(call.ended - zero) * 1000:.1f}"
    return f"{(call.began - zero) * 1000:6.1f} to {ended:>6} ms  "


def _quote(text: str) -> str:
    # Look-alikes must not look alike here, so what is not ASCII is escaped.
    shown = ascii(text)
    return shown if len(shown) <= 60 else f"{shown[:40]}...{shown[-10:]} ({len(text)} characters)"
