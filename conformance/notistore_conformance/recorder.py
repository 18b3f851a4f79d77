"""What was done to a store, kept so that a failed check can tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from notistore.ids import is_id
from notistore.model import Actor, Cursor, Notification, Recipient

__all__ = ["Call", "Log", "Recorded"]

_LINES: Final = 14
_WIDTH: Final = 160
_PENDING: Final = object()


@dataclass(slots=True)
class Call:
    """One call, and what it answered or raised."""

    who: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    answer: Any = _PENDING


@dataclass(slots=True)
class Log:
    """The calls made so far, and short names (#1, #2) for the ids in them."""

    calls: list[Call] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """One line per call, the latest ones; rendered only when a check has failed."""
        told = [self._tell(call) for call in self.calls]
        if len(told) > _LINES:
            told = [f"({len(told) - _LINES} earlier calls)", *told[-_LINES:]]
        return told

    def show(self, value: object) -> str:
        """A value, cut to a readable length."""
        shown = self._show(value)
        return shown if len(shown) <= _WIDTH else f"{shown[: _WIDTH - 40]} ... {shown[-35:]}"

    def _tell(self, call: Call) -> str:
        args = [self._show(arg) for arg in call.args]
        args += [f"{name}={self._show(value)}" for name, value in call.kwargs.items()]
        answer = call.answer
        if answer is _PENDING:
            told = "was not answered"
        elif isinstance(answer, BaseException):
            told = f"raised {answer!r}"
        else:
            told = f"-> {self._show(answer)}"
        return self._cut(f"{call.who}{call.name}({', '.join(args)})") + " " + self._cut(told)

    @staticmethod
    def _cut(text: str) -> str:
        return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."

    def _show(self, value: object) -> str:
        match value:
            case Notification():
                state = "unread" if value.read_at is None else "read"
                keyed = "" if value.key is None else f" key {_quote(value.key)}"
                return f"<{self._name(value.id)} {_quote(value.type)}{keyed} v{value.version} {state}>"
            case Recipient():
                shown = _quote(value.id) + (f" ({value.type})" if value.type != "user" else "")
                return shown if value.tenant is None else f"{shown} of tenant {_quote(value.tenant)}"
            case Actor():
                return f"Actor({_quote(value.id)}, {_quote(value.type)})"
            case Cursor():
                return f"Cursor({self._show(value.created_at)}, {self._name(value.id)})"
            case datetime():
                return value.isoformat(timespec="microseconds" if value.microsecond % 1000 else "milliseconds")
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

        async def call(*args: Any, **kwargs: Any) -> Any:
            entry = Call(self._who, name, args, kwargs)
            self._log.calls.append(entry)
            try:
                entry.answer = await method(*args, **kwargs)
            except BaseException as error:
                entry.answer = error
                raise
            return entry.answer

        return call


def _quote(text: str) -> str:
    # Look-alikes must not look alike here, so what is not ASCII is escaped.
    shown = ascii(text)
    return shown if len(shown) <= 60 else f"{shown[:40]}...{shown[-10:]} ({len(text)} characters)"
