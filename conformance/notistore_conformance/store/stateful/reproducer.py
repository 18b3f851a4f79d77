"""A history of calls as a test, ready to be pasted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from notistore.model import Notification, Recipient

from ..call_log import Call

__all__ = ["reproducer"]

_HEAD: Final = """\
import datetime

import pytest

from notistore import Actor, Cursor, DuplicateNotification, Notification, Recipient


async def test_history(store):"""


def reproducer(calls: Sequence[Call], expected: object) -> str:
    """The source of a test that makes these calls on a fixture `store` and expects this of the last of them.

    An expected error is given as its class.
    """
    names: dict[str, str] = {}
    lines = [_HEAD]
    for call in calls:
        made = [value for value in _values(call) if isinstance(value, Notification | Recipient)]
        for value in made:
            for part in (value.recipient, value) if isinstance(value, Notification) else (value,):
                if repr(part) not in names:
                    name = f"{'row' if isinstance(part, Notification) else 'who'}{len(names) + 1}"
                    lines.append(f"    {name} = {_short(repr(part), names)}")
                    names[repr(part)] = name
                    if isinstance(part, Notification):
                        names.setdefault(repr(part.id), f"{name}.id")
        arguments = [repr(value) for value in call.args]
        arguments += [f"{name}={value!r}" for name, value in call.kwargs.items()]
        expression = f"await store.{call.name}({_short(', '.join(arguments), names)})"
        if call is not calls[-1]:
            lines.append(
                f"    {expression}" if not isinstance(call.answer, Exception) else _raising(expression, call.answer)
            )
        elif isinstance(expected, type):
            lines += [f"    with pytest.raises({expected.__name__}):", f"        {expression}"]
        else:
            lines.append(f"    assert {expression} == {_short(repr(expected), names)}")
    return "\n".join(lines)


def _raising(expression: str, error: Exception) -> str:
    return f"    with pytest.raises({type(error).__name__}):\n        {expression}"


def _values(call: Call) -> list[object]:
    flat: list[object] = []
    for value in (*call.args, *call.kwargs.values()):
        flat += value if isinstance(value, list) else [value]
    return flat


def _short(source: str, names: dict[str, str]) -> str:
    """The source with what has a name called by it, the longest first."""
    for shown in sorted(names, key=len, reverse=True):
        source = source.replace(shown, names[shown])
    return source
